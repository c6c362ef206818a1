//! The shadow MMU as a whole.

use x86::{Gfn, Gva, Level};

use crate::context::View;
use crate::copies::Copies;
use crate::counters::Counters;
use crate::frames::{FrameKind, Frames, HostMap};
use crate::last_path::LastPath;
use crate::mappings::{CopyId, Mappings, Result, SpaceId};
use crate::out_of_sync::{OOS_FIXUPS, OOS_PAGES, OutOfSync};
use crate::policy::Policy;
use crate::run::Run;
use crate::spaces::Spaces;
use crate::storage::Storage;
use crate::tables::Tables;

/// The shadow MMU of one guest.
///
/// All methods do bounded work; `docs/shadow-mmu.md` has the worst case of
/// each in capability operations. A method that returns [`MapError`] leaves
/// records that agree with what was done so far, and can be called again: then
/// it goes on with what is left. So the records are the continuation of long
/// requests, which end with [`MapError::AGAIN`] when their budget is used up.
///
/// `PAGES` out-of-sync pages for each vCPU and `FIXUPS` writable mappings for
/// each of them, at least two each.
pub struct ShadowMmu<'a, const PAGES: usize = OOS_PAGES, const FIXUPS: usize = OOS_FIXUPS> {
    pub(crate) frames: Frames<'a>,
    pub(crate) copies: Copies<'a>,
    pub(crate) tables: Tables<'a>,
    pub(crate) spaces: Spaces<'a>,
    pub(crate) oos: OutOfSync<'a, PAGES, FIXUPS>,
    pub(crate) policy: Policy,
    pub(crate) last: LastPath,
    pub(crate) run: Run,
    /// Low three bits of the number of CR3 loads (R8).
    pub(crate) loads: u8,
    pub(crate) counters: &'a mut Counters,
}

/// A leaf that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveLeaf {
    /// The space it is in.
    pub space: SpaceId,
    /// Its page.
    pub gva: Gva,
    /// The frame mapped.
    pub gfn: Gfn,
    /// The copy of the frame's cap that maps it.
    pub copy: CopyId,
    /// Whether it is writable.
    pub writable: bool,
}

impl<'a, const PAGES: usize, const FIXUPS: usize> ShadowMmu<'a, PAGES, FIXUPS> {
    /// An empty shadow. The spare copy of every frame exists and is unmapped,
    /// extra slots are empty, and all paging objects are unmapped.
    ///
    /// Events are added to `counters`, which nobody else writes.
    pub fn new(storage: Storage<'a>, counters: &'a mut Counters, policy: Policy) -> Self {
        let frames = Frames::new(storage.frames, storage.clean);
        let copies = Copies::new(storage.copies, frames.len() as u32);
        Self {
            frames,
            copies,
            tables: Tables::new(storage.tables),
            spaces: Spaces::new(storage.spaces),
            oos: OutOfSync::new(storage.snapshots),
            policy,
            last: LastPath::NONE,
            run: Run::NONE,
            loads: 0,
            counters,
        }
    }

    /// Makes `count` frames from `first` on read-only for the guest, as ROM is.
    /// To be called before the guest runs: mappings that exist are not changed.
    pub fn set_read_only(&mut self, first: Gfn, count: u64) {
        self.frames.set_read_only(first, count);
    }

    /// Event counters since the start.
    pub fn counters(&self) -> &Counters {
        self.counters
    }

    /// What `space` shadows: the guest root and the view.
    pub fn space_key(&self, space: SpaceId) -> Option<(Gfn, View)> {
        let key = self.spaces.key(space);
        key.view().map(|view| (key.root(), view))
    }

    /// All live leaves, table by table.
    pub fn live_leaves(&self) -> impl Iterator<Item = LiveLeaf> {
        (0..self.tables.count(Level::L1) as u16).flat_map(move |table| {
            self.tables.present_slots(Level::L1, table).filter_map(move |slot| {
                let leaf = self.tables.leaf(table, slot)?;
                Some(LiveLeaf {
                    space: self.tables.space(Level::L1, table),
                    gva: self.tables.va(Level::L1, table).wrapping_add((slot as u64) << 12),
                    gfn: Gfn::new(self.copies.frame(leaf.copy()).into()),
                    copy: leaf.copy(),
                    writable: leaf.is_writable(),
                })
            })
        })
    }

    /// Unmaps a frame everywhere by one revocation; its spare copy is made
    /// again on next use.
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses; nothing has changed then.
    pub fn remove_all_mappings(&mut self, gfn: Gfn, caps: &mut impl Mappings) -> Result {
        if self.frames.kind(gfn) == FrameKind::NotRam {
            return Ok(());
        }
        caps.revoke(gfn)?;
        self.counters.revoke += 1;
        let frame = gfn.get() as u32;
        while let Some(copy) = self.copies.first_extra(&self.frames, frame) {
            self.forget_leaf_of(copy);
            self.copies.remove_from_chain(&mut self.frames, copy);
            self.copies.give_free(copy);
        }
        let spare = CopyId(frame);
        self.forget_leaf_of(spare);
        self.copies.set_empty(spare, true);
        Ok(())
    }
}

#[cfg(feature = "states")]
impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Feeds all that later behaviour depends on, counters left out: two
    /// shadow MMUs that feed the same behave the same.
    pub fn fingerprint(&self, state: &mut impl core::hash::Hasher) {
        self.frames.fingerprint(self.policy.unshadow, state);
        state.write_u8(if self.policy.unshadow { self.loads } else { 0 });
        self.copies.fingerprint(&self.tables, state);
        self.tables.fingerprint(state);
        self.spaces.fingerprint(state);
        self.oos.fingerprint(&self.frames, state);
        self.last.fingerprint(state);
        core::hash::Hash::hash(&self.run, state);
    }

    /// The same shadow MMU once more, its records in `storage`, which is of the
    /// same pools.
    pub fn copy_to<'b>(
        &self,
        storage: Storage<'b>,
        counters: &'b mut Counters,
    ) -> ShadowMmu<'b, PAGES, FIXUPS> {
        *counters = *self.counters;
        ShadowMmu {
            frames: self.frames.copy_to(storage.frames, storage.clean),
            copies: self.copies.copy_to(storage.copies),
            tables: self.tables.copy_to(storage.tables),
            spaces: self.spaces.copy_to(storage.spaces),
            oos: self.oos.copy_to(&self.frames, storage.snapshots),
            policy: self.policy,
            last: self.last,
            run: self.run,
            loads: self.loads,
            counters,
        }
    }
}
