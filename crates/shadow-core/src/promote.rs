//! Frames that become guest tables, and tables that the guest writes.
//!
//! ```text
//!            (1) an instance is built: write access away
//!   Plain ─────────────────────────────────────────────> Synced
//!     ^  (4) last instance gone; (5) written, nothing of it loaded   │ ^
//!     ├──────────────────────────────────────────────────────────────┤ │ (3) resync
//!     │  (4) last instance gone                       (2) demand write v │
//!     └──────────────────────────────────────────────────── OutOfSync ──┘
//! ```

use x86::{Gfn, GuestMemory, Level};

use crate::context::VcpuId;
use crate::copies::Claim;
use crate::frames::Tracking;
use crate::last_path::LastPath;
use crate::mappings::{CopyId, Result, SpaceId};
use crate::mmu::ShadowMmu;
use crate::origin::Origin;
use crate::out_of_sync::Place;
use crate::policy::{Defect, Promotion};
use crate::request::Ops;
use crate::tables::LeafRecord;
use crate::tracking::TableRef;

/// Writable mappings that [`Promotion::Recorded`] takes away one by one.
const REMAPPED_SINGLY: usize = 8;

/// Instances of a table that is given up (R8), at most: each costs an operation.
const UNSHADOWED: usize = 8;

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Makes the table of `origin` ready to be tracked: if it is Plain, write
    /// access to it goes away, and the answer is `true`: a sibling may have
    /// written it since the walk, so walk again.
    pub(crate) fn track(&mut self, origin: Origin, ops: &mut impl Ops) -> Result<bool> {
        let Some(frame) = origin.table_frame(&self.frames) else {
            return Ok(false);
        };
        if self.frames.tracking(frame) != Tracking::Plain {
            return Ok(false);
        }
        if !self.policy.has(Defect::WriteAccessKept) {
            self.remove_write_access(frame, ops)?;
        }
        if !self.policy.has(Defect::UnshadowedAgain) {
            self.frames.forget_unsyncs(frame);
        }
        self.counters.promote += 1;
        Ok(true)
    }

    fn remove_write_access(&mut self, frame: u32, ops: &mut impl Ops) -> Result {
        if self.policy.promotion == Promotion::Recorded {
            return self.take_all_writes(frame, ops);
        }
        let mut copies = self.copies.of_frame(&self.frames, frame);
        if copies.any(|copy| self.copies.claim(copy) != Claim::NONE) {
            drop(copies);
            self.remove_all_mappings(Gfn::new(frame.into()), ops)?;
        }
        Ok(())
    }

    /// Takes write access from every leaf of a frame: one by one, or by Revoke if
    /// there are many.
    pub(crate) fn take_all_writes(&mut self, frame: u32, ops: &mut impl Ops) -> Result {
        let many = {
            let copies = self.copies.of_frame(&self.frames, frame);
            let mut writable = copies.filter(|&copy| self.writable_leaf(copy).is_some());
            writable.nth(REMAPPED_SINGLY).is_some()
        };
        if many {
            return self.remove_all_mappings(Gfn::new(frame.into()), ops);
        }
        while let Some(copy) = self.first_writable(frame) {
            self.take_write_access(copy, ops)?;
        }
        Ok(())
    }

    /// A copy that maps the frame writable.
    pub(crate) fn first_writable(&self, frame: u32) -> Option<CopyId> {
        self.copies.of_frame(&self.frames, frame).find(|&copy| self.writable_leaf(copy).is_some())
    }

    /// The table and slot of the writable leaf that names the copy.
    fn writable_leaf(&self, copy: CopyId) -> Option<(u16, usize)> {
        let slot = self.copies.live_slot(&self.tables, copy)?;
        let table = self.copies.table(copy);
        let leaf = self.tables.leaf(table, slot)?;
        leaf.is_writable().then_some((table, slot))
    }

    /// Makes the leaf of a copy read-only; `true` if it was writable.
    fn take_write_access(&mut self, copy: CopyId, ops: &mut impl Ops) -> Result<bool> {
        let Some((table, slot)) = self.writable_leaf(copy) else {
            return Ok(false);
        };
        self.change_rights(table, slot, LeafRecord::new(copy, false), ops)?;
        Ok(true)
    }

    /// Takes write access away where a fixup says; `true` if it was there.
    pub(crate) fn take_fixup(
        &mut self,
        frame: u32,
        place: Claim,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let copy = self
            .copies
            .of_frame(&self.frames, frame)
            .find(|&copy| self.copies.claim(copy) == place);
        match copy {
            Some(copy) if place != Claim::NONE => self.take_write_access(copy, ops),
            _ => Ok(false),
        }
    }

    /// Prepares for a demand write to a Synced table. `true`: it is out of
    /// sync now, and whatever was evicted may have been part of the walk; walk
    /// again (R7). Else it is Plain.
    #[cold]
    pub(crate) fn prepare_write(
        &mut self,
        vcpu: VcpuId,
        frame: u32,
        on_path: bool,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        if !on_path {
            self.leave_unused(frame);
        }
        if self.frames.tracking(frame) == Tracking::Plain {
            return Ok(false);
        }
        let restless = !on_path || self.policy.has(Defect::UnshadowedAgain);
        if restless && self.unshadow(frame, ops)? {
            return Ok(false);
        }
        if on_path || self.is_loaded(frame) {
            self.unsync(vcpu, frame, ops)?;
            return Ok(!self.policy.has(Defect::WalkKept));
        }
        // R6: nobody can reach what was built from it before a CR3 load.
        while let Some(table) = self.tables.first_instance(&self.frames, frame) {
            self.tables.set_stale(&mut self.frames, table);
            self.counters.stale += 1;
        }
        self.last = LastPath::NONE;
        Ok(false)
    }

    /// R8: gives up a table that went out of sync three times since the last
    /// CR3 load, so that it is hardly used as one; `true` if it is Plain now.
    /// Promotion counts anew: a table that an instruction needs to get at this
    /// very write is promoted again, and then goes out of sync.
    fn unshadow(&mut self, frame: u32, ops: &mut impl Ops) -> Result<bool> {
        if !self.policy.unshadow || self.frames.unsyncs(frame, self.loads) < 3 {
            return Ok(false);
        }
        let instances = || self.tables.instances(&self.frames, frame);
        let few = instances().nth(UNSHADOWED).is_none();
        if !few || instances().any(|table| table.level == Level::L4) {
            return Ok(false);
        }
        self.last = LastPath::NONE;
        while let Some(TableRef { level, index }) = self.tables.first_instance(&self.frames, frame)
        {
            if self.tables.used(level, index) == 0 {
                self.tables.forget_origin(&mut self.frames, level, index);
            } else {
                self.drop_subtree(level, index, ops)?;
            }
        }
        self.counters.unshadow += 1;
        Ok(true)
    }

    /// Instances without leaves need not be kept in step.
    fn leave_unused(&mut self, frame: u32) {
        let mut cursor = self.tables.first_instance(&self.frames, frame);
        while let Some(table) = cursor {
            cursor = self.tables.next_listed(table);
            if self.tables.used(table.level, table.index) == 0 {
                self.tables.forget_origin(&mut self.frames, table.level, table.index);
                self.last = LastPath::NONE;
            }
        }
    }

    /// Whether a vCPU may reach an instance of the table without a CR3 load.
    fn is_loaded(&self, frame: u32) -> bool {
        self.tables.instances(&self.frames, frame).any(|TableRef { level, index }| {
            let space = self.tables.space(level, index);
            self.spaces.is_root_active(self.spaces.key(space).root())
        })
    }

    fn unsync(&mut self, vcpu: VcpuId, frame: u32, ops: &mut impl Ops) -> Result {
        while let Place::Evict(other) = self.oos.place(&self.frames, vcpu, frame) {
            let rest = ops.bound(self.policy.budget);
            self.resync(other, false, ops)?;
            ops.bound(rest);
            self.counters.unsync_evict += 1;
        }
        if self.frames.tracking(frame) != Tracking::Synced {
            return Ok(());
        }
        let snapshot = self.oos.insert(&mut self.frames, vcpu, frame);
        let table = Gfn::new(frame.into());
        ops.memory().load_table(table, &mut snapshot.entries);
        self.frames.count_unsync(frame, self.loads);
        self.counters.unsync += 1;
        Ok(())
    }

    /// Records that `place` is about to map the out-of-sync `frame` writable.
    pub(crate) fn add_fixup(&mut self, frame: u32, place: Claim, ops: &mut impl Ops) -> Result {
        let Some(page) = self.frames.out_of_sync_page(frame) else {
            return Ok(());
        };
        if let Some(old) = self.oos.fixup_in_the_way(page, place) {
            let lost = self.policy.has(Defect::FixupLost);
            let evicted = !lost && self.take_fixup(frame, old, ops)?;
            self.counters.oos_fixup_evict += u64::from(evicted);
            self.oos.add_fixup(page, place);
            self.counters.oos_fixup_add += 1;
        }
        Ok(())
    }

    /// Whether the frame is one of the tables that a walk went through.
    pub(crate) fn is_on_path(&self, frame: u32, root: Gfn, origins: &[Origin; 3]) -> bool {
        root.get() == u64::from(frame)
            || origins.iter().any(|origin| origin.table_frame(&self.frames) == Some(frame))
    }

    /// The root of a space, tracked; `true` if it was not.
    pub(crate) fn track_root(&mut self, space: SpaceId, ops: &mut impl Ops) -> Result<bool> {
        let key = self.spaces.key(space);
        let origin = Origin::table(key.root(), crate::origin::Rights::all());
        if self.tables.origin(Level::L4, space.0) == origin {
            return Ok(false);
        }
        let promoted = self.track(origin, ops)?;
        self.tables.set_origin(&mut self.frames, Level::L4, space.0, origin);
        Ok(promoted)
    }
}
