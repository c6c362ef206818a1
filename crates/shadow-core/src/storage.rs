//! The pools' sizes, and the records cut out of one lent region.

use core::cell::Cell;
use core::fmt;
use core::mem::size_of;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::context::MAX_VCPUS;
use crate::copies::CopyRecord;
use crate::frames::FrameRecord;
use crate::out_of_sync::{OOS_PAGES, SnapshotRecord};
use crate::spaces::SpaceRecord;
use crate::tables::{Children, Leaves, TableRecord, TableSlices};

/// How many objects the shadow MMU works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pools {
    /// 4 KiB frames of guest RAM; frame numbers `[0, frames)`.
    pub frames: u32,
    /// Extra copies of frame caps, beyond the spare that each frame has.
    pub extra_copies: u32,
    /// Spaces: root objects (PML4) with an ASID.
    pub spaces: u16,
    /// Page-directory-pointer tables.
    pub pdpts: u16,
    /// Page directories.
    pub pds: u16,
    /// Page tables.
    pub pts: u16,
}

/// A pool is too small to guarantee progress, or too large for the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolsError {
    /// The pool has fewer objects than the floor.
    TooFew {
        /// Which pool.
        pool: &'static str,
        /// What was given.
        given: u32,
        /// The least that works.
        floor: u32,
    },
    /// The pool has more objects than record numbers can name.
    TooMany {
        /// Which pool.
        pool: &'static str,
        /// What was given.
        given: u32,
        /// The most that works.
        limit: u32,
    },
    /// The lent region is shorter than [`Pools::required_bytes`], or not
    /// aligned to 8 bytes.
    Region {
        /// Bytes needed.
        required: usize,
        /// Bytes given.
        given: usize,
    },
}

impl fmt::Display for PoolsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { pool, given, floor } => {
                write!(f, "pool `{pool}` has {given} objects, but at least {floor} are needed")
            }
            Self::TooMany { pool, given, limit } => {
                write!(f, "pool `{pool}` has {given} objects, but at most {limit} can be used")
            }
            Self::Region { required, given } => {
                write!(
                    f,
                    "record region has {given} bytes; {required} bytes aligned to 8 are needed"
                )
            }
        }
    }
}

impl Pools {
    /// Least pool sizes. One instruction touches at most six pages, each of
    /// which may need a table of its own on every level and, if all are one
    /// frame, a copy of its own.
    pub const FLOOR: Self =
        Self { frames: 1, extra_copies: 8, spaces: 3, pdpts: 6, pds: 6, pts: 6 };

    /// Largest pool sizes.
    pub const LIMIT: Self = Self {
        frames: 1 << 28,
        extra_copies: 1 << 28,
        spaces: 4096,
        pdpts: 32768,
        pds: 32768,
        pts: 32768,
    };

    /// Checks the sizes against [`Self::FLOOR`] and [`Self::LIMIT`].
    ///
    /// # Errors
    /// The first pool that is too small or too large.
    pub fn check(&self) -> Result<(), PoolsError> {
        let named = |pools: &Self| {
            [
                ("frames", pools.frames),
                ("extra_copies", pools.extra_copies),
                ("spaces", pools.spaces.into()),
                ("pdpts", pools.pdpts.into()),
                ("pds", pools.pds.into()),
                ("pts", pools.pts.into()),
            ]
        };
        let bounds = named(&Self::FLOOR).into_iter().zip(named(&Self::LIMIT));
        for ((pool, given), ((_, floor), (_, limit))) in named(self).into_iter().zip(bounds) {
            if given < floor {
                return Err(PoolsError::TooFew { pool, given, floor });
            }
            if given > limit {
                return Err(PoolsError::TooMany { pool, given, limit });
            }
        }
        Ok(())
    }

    const fn copies(&self) -> usize {
        self.frames as usize + self.extra_copies as usize
    }

    /// Words of the log of clean frames.
    const fn clean_words(&self) -> usize {
        (self.frames as usize).div_ceil(64)
    }

    /// Bytes of records for these pools, with [`OOS_PAGES`] for each vCPU.
    pub const fn required_bytes(&self) -> usize {
        self.required_bytes_with(OOS_PAGES)
    }

    /// Bytes of records for these pools, with `oos_pages` out-of-sync pages for
    /// each vCPU.
    pub const fn required_bytes_with(&self, oos_pages: usize) -> usize {
        let spaces = self.spaces as usize;
        let (pdpts, pds, pts) = (self.pdpts as usize, self.pds as usize, self.pts as usize);
        self.copies() * size_of::<CopyRecord>()
            + self.frames as usize * size_of::<FrameRecord>()
            + self.clean_words() * size_of::<u64>()
            + oos_pages * MAX_VCPUS * size_of::<SnapshotRecord>()
            + spaces * (size_of::<SpaceRecord>() + size_of::<TableRecord>() + size_of::<Children>())
            + (pdpts + pds) * (size_of::<TableRecord>() + size_of::<Children>())
            + pts * (size_of::<TableRecord>() + size_of::<Leaves>())
    }
}

/// The records of one shadow MMU, in lent memory.
pub struct Storage<'a> {
    pub(crate) frames: &'a mut [FrameRecord],
    pub(crate) clean: &'a mut [Cell<u64>],
    pub(crate) copies: &'a mut [CopyRecord],
    pub(crate) spaces: &'a mut [SpaceRecord],
    pub(crate) tables: TableSlices<'a>,
    pub(crate) snapshots: &'a mut [SnapshotRecord],
}

impl<'a> Storage<'a> {
    /// Cuts the records of `pools` out of `region`, which must be aligned to 8
    /// bytes; bytes left over stay unused, and old contents do not matter.
    ///
    /// # Errors
    /// [`PoolsError`] if a pool is out of bounds or the region too small.
    pub fn carve(region: &'a mut [u8], pools: Pools) -> Result<Self, PoolsError> {
        Self::carve_with(region, pools, OOS_PAGES)
    }

    /// As [`Self::carve`], for a [`crate::ShadowMmu`] with `oos_pages`
    /// out-of-sync pages for each vCPU.
    ///
    /// # Errors
    /// As for [`Self::carve`].
    pub fn carve_with(
        region: &'a mut [u8],
        pools: Pools,
        oos_pages: usize,
    ) -> Result<Self, PoolsError> {
        pools.check()?;
        let error = PoolsError::Region {
            required: pools.required_bytes_with(oos_pages),
            given: region.len(),
        };
        Self::cut(region, pools, oos_pages * MAX_VCPUS).ok_or(error)
    }

    /// Slices with 8-byte alignment come first, then those with less; so no
    /// padding is needed between them.
    fn cut(region: &'a mut [u8], pools: Pools, snapshots: usize) -> Option<Self> {
        let (copies, rest) = take(region, pools.copies())?;
        let (spaces, rest) = take(rest, pools.spaces.into())?;
        let (roots, rest) = take(rest, pools.spaces.into())?;
        let (pdpts, rest) = take(rest, pools.pdpts.into())?;
        let (pds, rest) = take(rest, pools.pds.into())?;
        let (pts, rest) = take(rest, pools.pts.into())?;
        let (snapshots, rest) = take(rest, snapshots)?;
        let (clean, rest) = take(rest, pools.clean_words())?;
        let (leaves, rest) = take(rest, pools.pts.into())?;
        let (root_children, rest) = take(rest, pools.spaces.into())?;
        let (pdpt_children, rest) = take(rest, pools.pdpts.into())?;
        let (pd_children, rest) = take(rest, pools.pds.into())?;
        let (frames, _) = take(rest, pools.frames as usize)?;
        let tables = TableSlices {
            records: [pts, pds, pdpts, roots],
            children: [pd_children, pdpt_children, root_children],
            leaves,
        };
        Some(Self { frames, clean, copies, spaces, tables, snapshots })
    }
}

type Cut<'a, T> = (&'a mut [T], &'a mut [u8]);

fn take<T>(region: &mut [u8], count: usize) -> Option<Cut<'_, T>>
where
    T: FromBytes + IntoBytes + KnownLayout,
{
    <[T]>::mut_from_prefix_with_elems(region, count).ok()
}
