//! The bounded cache of spaces: which root object shadows which guest root in
//! which view.

use x86::Gfn;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::{MAX_VCPUS, PagingContext, VcpuId, View};
use crate::mappings::SpaceId;

/// (guest root, view) in one word; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SpaceKey(u64);

impl SpaceKey {
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    pub(crate) const fn of(cpu: &PagingContext) -> Self {
        let view = match cpu.view() {
            View::Kernel => 1,
            View::KernelWp0 => 2,
            View::User => 3,
        };
        Self(cpu.root.get() << 2 | view)
    }

    pub(crate) const fn root(self) -> Gfn {
        Gfn::new(self.0 >> 2)
    }

    pub(crate) const fn view(self) -> Option<View> {
        match self.0 & 3 {
            1 => Some(View::Kernel),
            2 => Some(View::KernelWp0),
            3 => Some(View::User),
            _ => None,
        }
    }
}

/// Record of one space. All-zero is a space that shadows nothing yet.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SpaceRecord {
    key: u64,
    /// When it was last activated.
    stamp: u64,
}

/// The spaces, and which of them each vCPU runs in.
pub(crate) struct Spaces<'a> {
    records: &'a mut [SpaceRecord],
    active: [Option<SpaceId>; MAX_VCPUS],
    clock: u64,
    /// Where a key was found last, by its low bits.
    hints: [SpaceId; HINTS],
    /// The root whose views were asked for last, and those; forgotten when a
    /// space changes hands.
    viewed: Option<(Gfn, Views)>,
}

/// Hints to where a key is. A power of two; the kernel and user views of a few
/// roots are what a guest changes between.
const HINTS: usize = 16;

/// The spaces of one root, at most one for each view.
pub(crate) type Views = [Option<SpaceId>; 3];

impl<'a> Spaces<'a> {
    pub(crate) fn new(records: &'a mut [SpaceRecord]) -> Self {
        records.fill(SpaceRecord { key: SpaceKey::NONE.0, stamp: 0 });
        Self {
            records,
            active: [None; MAX_VCPUS],
            clock: 0,
            hints: [SpaceId(0); HINTS],
            viewed: None,
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SpaceId> + use<> {
        (0..self.records.len() as u16).map(SpaceId)
    }

    #[inline]
    pub(crate) fn key(&self, space: SpaceId) -> SpaceKey {
        SpaceKey(self.records[space.index()].key)
    }

    /// The space that the context's vCPU runs in, if it is the one of the context.
    #[inline]
    pub(crate) fn active_for(&self, cpu: &PagingContext) -> Option<SpaceId> {
        self.active[cpu.vcpu.index()].filter(|&space| self.key(space) == SpaceKey::of(cpu))
    }

    pub(crate) fn is_active(&self, space: SpaceId) -> bool {
        self.active.contains(&Some(space))
    }

    /// Whether any vCPU runs in a space of this root.
    pub(crate) fn is_root_active(&self, root: Gfn) -> bool {
        let mut active = self.active.iter().flatten();
        active.any(|&space| self.key(space).root() == root)
    }

    pub(crate) fn set_active(&mut self, vcpu: VcpuId, space: Option<SpaceId>) {
        self.active[vcpu.index()] = space;
        if let Some(space) = space {
            self.clock += 1;
            self.records[space.index()].stamp = self.clock;
        }
    }

    pub(crate) fn find(&mut self, key: SpaceKey) -> Option<SpaceId> {
        let hint = (key.0 ^ key.0 >> 4) as usize % HINTS;
        if self.key(self.hints[hint]) != key {
            self.hints[hint] = self.ids().find(|&space| self.key(space) == key)?;
        }
        Some(self.hints[hint])
    }

    /// The spaces of `root`.
    pub(crate) fn views(&mut self, root: Gfn) -> Views {
        match self.viewed {
            Some((viewed, views)) if viewed == root => views,
            _ => self.look_for_views(root),
        }
    }

    #[cold]
    fn look_for_views(&mut self, root: Gfn) -> Views {
        let mut views = [None; 3];
        for space in self.ids() {
            let key = self.key(space);
            if key.root() == root
                && let Some(view) = key.view()
            {
                views[view as usize] = Some(space);
            }
        }
        self.viewed = Some((root, views));
        views
    }

    /// The space that no vCPU runs in and that was activated longest ago.
    pub(crate) fn least_recent(&self) -> Option<SpaceId> {
        self.ids()
            .filter(|&space| !self.is_active(space))
            .min_by_key(|space| self.records[space.index()].stamp)
    }

    pub(crate) fn set_key(&mut self, space: SpaceId, key: SpaceKey) {
        self.records[space.index()].key = key.0;
        self.viewed = None;
    }
}

#[cfg(feature = "states")]
impl Spaces<'_> {
    /// Stamps count by their order alone, and hints, which are checked before
    /// they are used, not at all.
    pub(crate) fn fingerprint(&self, state: &mut impl core::hash::Hasher) {
        for record in &*self.records {
            state.write_u64(record.key);
            let earlier = |other: &&SpaceRecord| other.stamp < record.stamp;
            state.write_usize(self.records.iter().filter(earlier).count());
        }
        for active in self.active {
            state.write_u16(active.map_or(u16::MAX, |space| space.0));
        }
        core::hash::Hash::hash(&self.viewed, state);
    }

    pub(crate) fn copy_to<'b>(&self, records: &'b mut [SpaceRecord]) -> Spaces<'b> {
        records.copy_from_slice(self.records);
        Spaces {
            records,
            active: self.active,
            clock: self.clock,
            hints: self.hints,
            viewed: self.viewed,
        }
    }
}
