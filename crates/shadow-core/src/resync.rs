//! Bringing instances back in step with guest tables.
//!
//! A *full resync* ends a table's time out of sync: write access away, then
//! every entry that differs from the snapshot or diverged is checked in all
//! instances. A *content sync* does the second half for the spaces of one root
//! only, and the table stays out of sync. Both keep what a walk of the live
//! tables would give, and drop the rest; leaves whose entry now leads
//! elsewhere may be *derived*, after a full walk from the root (R4).

use x86::{Gfn, Gpa, Gpte, GuestMemory, Gva, Level};

use crate::context::{PagingContext, VcpuId, View};
use crate::frames::{HostMap, Tracking};
use crate::last_path::LastPath;
use crate::mappings::{Mappings, Result};
use crate::mmu::ShadowMmu;
use crate::origin::Origin;
use crate::policy::Defect;
use crate::request::{Ops, Request};
use crate::tables::{EntrySet, LeafRecord, Slots};
use crate::tracking::{Listed, TableRef};
use crate::walk::GuestWalk;

/// Wrong entries of one instance that are handled singly; for more, one unmap
/// of the whole table is cheaper.
const HANDLED_SINGLY: u32 = 24;

/// What a changed guest entry means for a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    TakeWrite,
    Drop,
}

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Ends a frame's time out of sync, if it is.
    pub(crate) fn resync(&mut self, frame: u32, derive: bool, ops: &mut impl Ops) -> Result {
        let Some(page) = self.frames.out_of_sync_page(frame) else {
            return Ok(());
        };
        for place in self.oos.fixups(page) {
            self.take_fixup(frame, place, ops)?;
            self.oos.forget_fixup(page, place);
        }
        if self.first_writable(frame).is_some() {
            self.remove_all_mappings(Gfn::new(frame.into()), ops)?;
            self.counters.writeable_bf_1 += 1;
        }
        let changed = self.changed_entries(frame, page, ops.memory());
        self.sync_instances(frame, &changed, None, derive, ops)?;
        // Its last instance may have gone, and with it the slot.
        if self.frames.out_of_sync_page(frame) == Some(page) {
            self.frames.set_synced(frame);
        }
        self.counters.resync += 1;
        Ok(())
    }

    /// Full resync of what `vcpu` let go out of sync.
    pub(crate) fn resync_own(&mut self, vcpu: VcpuId, ops: &mut impl Ops) -> Result {
        let derive = self.policy.derive;
        if !self.frames.any_out_of_sync() || self.policy.has(Defect::OwnTablesKept) {
            return Ok(());
        }
        for page in self.oos.pages_of(vcpu) {
            if let Some(frame) = self.oos.occupant(&self.frames, page) {
                self.resync(frame, derive, ops)?;
            }
        }
        Ok(())
    }

    /// Full resync of everything.
    pub(crate) fn resync_all(&mut self, ops: &mut impl Ops) -> Result {
        for page in self.oos.pages() {
            if let Some(frame) = self.oos.occupant(&self.frames, page) {
                self.resync(frame, false, ops)?;
            }
        }
        Ok(())
    }

    /// Content sync of what other vCPUs let go out of sync, for the spaces of
    /// `root`.
    pub(crate) fn sync_contents(&mut self, vcpu: VcpuId, root: Gfn, ops: &mut impl Ops) -> Result {
        if !self.frames.any_out_of_sync() || self.policy.has(Defect::OthersIgnored) {
            return Ok(());
        }
        let own = self.oos.pages_of(vcpu);
        for page in self.oos.pages().filter(|page| !own.contains(page)) {
            if let Some(frame) = self.oos.occupant(&self.frames, page) {
                let changed = self.changed_entries(frame, page, ops.memory());
                self.sync_instances(frame, &changed, Some(root), false, ops)?;
                self.counters.resync_only += 1;
            }
        }
        Ok(())
    }

    /// Entries that differ from the snapshot, or of which another value was
    /// used. All count as diverged from now on, since what follows uses live
    /// values.
    fn changed_entries(&mut self, frame: u32, page: u8, memory: &impl GuestMemory) -> EntrySet {
        let snapshot = self.oos.snapshot_mut(page);
        memory.compare_table(Gfn::new(frame.into()), &snapshot.entries, &mut snapshot.diverged);
        snapshot.diverged
    }

    /// Checks `changed` entries of a table in its instances: all, or those in
    /// spaces of `root`.
    pub(crate) fn sync_instances(
        &mut self,
        frame: u32,
        changed: &EntrySet,
        root: Option<Gfn>,
        derive: bool,
        ops: &mut impl Ops,
    ) -> Result {
        if *changed == EntrySet::default() {
            return Ok(());
        }
        let mut cursor = self.tables.first_instance(&self.frames, frame);
        while let Some(table) = cursor {
            let next = self.tables.next_listed(table);
            let space = self.tables.space(table.level, table.index);
            if root.is_none_or(|root| self.spaces.key(space).root() == root) {
                self.sync_instance(table, changed, derive, ops)?;
            }
            if self.policy.has(Defect::OneInstanceSynced) {
                break;
            }
            // Dropping may have taken the next one along: then from the start,
            // where everything is in step already.
            cursor = match next {
                Some(next) if !self.is_instance(next, frame) => {
                    self.tables.first_instance(&self.frames, frame)
                }
                next => next,
            };
        }
        Ok(())
    }

    fn is_instance(&self, table: TableRef, frame: u32) -> bool {
        self.tables.listed_as(table.level, table.index) == Listed::ByFrame
            && self.tables.origin(table.level, table.index).table_frame(&self.frames) == Some(frame)
    }

    fn sync_instance(
        &mut self,
        table: TableRef,
        changed: &EntrySet,
        derive: bool,
        ops: &mut impl Ops,
    ) -> Result {
        let mut wrong = *self.tables.present(table.level, table.index);
        for (word, changed) in wrong.iter_mut().zip(changed) {
            *word &= changed;
        }
        if wrong == EntrySet::default() {
            return Ok(());
        }
        for slot in Slots::of(wrong) {
            if self.agrees(table, slot, ops.memory()) {
                wrong[slot / 64] &= !(1 << (slot % 64));
            }
        }
        let count: u32 = wrong.iter().map(|word| word.count_ones()).sum();
        if count > HANDLED_SINGLY && table.level != Level::L4 {
            return self.drop_subtree(table.level, table.index, ops);
        }
        for slot in Slots::of(wrong) {
            if table.level == Level::L1 {
                self.sync_leaf(table.index, slot, derive, ops)?;
            } else {
                self.drop_child(table, slot, ops)?;
            }
        }
        Ok(())
    }

    /// Whether the entry is what the live guest entry gives.
    fn agrees(&self, table: TableRef, slot: usize, memory: &impl GuestMemory) -> bool {
        let TableRef { level, index } = table;
        let live = self.live_entry(table, slot, memory);
        match level.below() {
            None => self.judge_leaf(index, slot, live) == Verdict::Keep,
            Some(below) => self
                .tables
                .child(level, index, slot)
                .is_none_or(|child| self.judge_child(table, live, below, child)),
        }
    }

    /// Whether what lies below the entry may stay there without a flush; an
    /// instance without leaves always may.
    pub(crate) fn is_right(&self, table: TableRef, slot: usize, live: Gpte) -> bool {
        match self.tables.child_ref(table, slot) {
            None => self.judge_leaf(table.index, slot, live) == Verdict::Keep,
            Some(child) => {
                self.tables.used(child.level, child.index) == 0
                    || self.judge_child(table, live | Gpte::DIRTY, child.level, child.index)
            }
        }
    }

    pub(crate) fn live_entry(
        &self,
        table: TableRef,
        slot: usize,
        memory: &impl GuestMemory,
    ) -> Gpte {
        let base = self.tables.origin(table.level, table.index).gfn().base();
        let gpa = Gpa::new(base.get() | (slot as u64 * 8));
        Gpte::from_bits_retain(memory.load_u64(gpa).unwrap_or(0))
    }

    /// Whether `child`, below `table`, is what the entry `live` gives.
    fn judge_child(&self, table: TableRef, live: Gpte, below: Level, child: u16) -> bool {
        let level = table.level;
        let rights = self.tables.origin(level, table.index).rights().through(live);
        let (wanted, marks) = if live.is_leaf(level) {
            let origin = Origin::superpage(live.gfn(level), rights);
            (origin, Gpte::ACCESSED | Gpte::DIRTY)
        } else {
            (Origin::table(live.gfn(level), rights), Gpte::ACCESSED)
        };
        live.contains(Gpte::PRESENT | marks)
            && !live.is_malformed(level)
            && self.tables.origin(below, child) == wanted
    }

    fn judge_leaf(&self, table: u16, slot: usize, live: Gpte) -> Verdict {
        let Some(leaf) = self.tables.leaf(table, slot) else {
            return Verdict::Keep;
        };
        let view = self.spaces.key(self.tables.space(Level::L1, table)).view();
        let there = live.contains(Gpte::PRESENT | Gpte::ACCESSED)
            && !live.is_malformed(Level::L1)
            && (view != Some(View::User) || live.contains(Gpte::USER))
            && live.gfn(Level::L1).get() == u64::from(self.copies.frame(leaf.copy()));
        let may_write = live.contains(Gpte::DIRTY)
            && (view == Some(View::KernelWp0) || live.contains(Gpte::WRITABLE));
        match (there, leaf.is_writable() && !may_write) {
            (true, false) => Verdict::Keep,
            (true, true) => Verdict::TakeWrite,
            (false, _) => Verdict::Drop,
        }
    }

    fn sync_leaf(&mut self, table: u16, slot: usize, derive: bool, ops: &mut impl Ops) -> Result {
        let Some(leaf) = self.tables.leaf(table, slot) else {
            return Ok(());
        };
        let live = self.live_entry(TableRef::new(Level::L1, table), slot, ops.memory());
        match self.judge_leaf(table, slot, live) {
            Verdict::Keep => Ok(()),
            Verdict::TakeWrite => {
                let read_only = LeafRecord::new(leaf.copy(), false);
                self.change_rights(table, slot, read_only, ops)
            }
            Verdict::Drop => {
                self.drop_leaf(table, slot, ops)?;
                if derive {
                    self.derive(table, slot, ops)?;
                }
                Ok(())
            }
        }
    }

    fn drop_child(&mut self, table: TableRef, slot: usize, ops: &mut impl Ops) -> Result {
        let TableRef { level, index } = table;
        let (Some(below), Some(child)) = (level.below(), self.tables.child(level, index, slot))
        else {
            return Ok(());
        };
        if self.tables.used(below, child) != 0 {
            return self.drop_subtree(below, child, ops);
        }
        self.tables.forget_origin(&mut self.frames, below, child);
        self.last = LastPath::NONE;
        Ok(())
    }

    /// R3: marks the entries of out-of-sync tables of which this walk used a
    /// value that the snapshot does not have.
    pub(crate) fn note_used(&mut self, root: Gfn, gva: Gva, walk: &GuestWalk) {
        if !self.frames.any_out_of_sync() || self.policy.has(Defect::DivergenceForgotten) {
            return;
        }
        let mut table = root;
        for level in Level::TOP_DOWN {
            let entry = walk.entries[level as usize - 1];
            self.note_entry(table, level.index(gva), entry);
            if level == walk.leaf_level {
                break;
            }
            table = entry.gfn(level);
        }
    }

    pub(crate) fn note_entry(&mut self, table: Gfn, slot: usize, used: Gpte) {
        let Some(page) =
            self.frames.number(table).and_then(|frame| self.frames.out_of_sync_page(frame))
        else {
            return;
        };
        let record = self.oos.snapshot_mut(page);
        let (word, bit) = (slot / 64, 1 << (slot % 64));
        if record.entries[slot] != used.bits() && record.diverged[word] & bit == 0 {
            record.diverged[word] |= bit;
            self.counters.diverged += 1;
        }
    }

    /// The guest's memory at `[gpa, gpa + length)` was written by a server: what
    /// was built from tables there is checked against what they say now.
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses, or as [`MapError::AGAIN`]: repeat
    /// before the vCPU that asked for the write runs.
    pub fn guest_written(
        &mut self,
        gpa: Gpa,
        length: u64,
        memory: &impl GuestMemory,
        caps: &mut impl Mappings,
    ) -> Result {
        let ops = &mut Request::new(memory, caps, self.policy.budget);
        if length == 0 || self.policy.has(Defect::ServerWriteMissed) {
            return Ok(());
        }
        let last = gpa.get().saturating_add(length - 1);
        for number in gpa.get() >> 12..=last >> 12 {
            let Some(frame) = self.frames.number(Gfn::new(number)) else {
                break;
            };
            self.frames.stored(Gfn::new(number));
            if self.frames.tracking(frame) == Tracking::Synced {
                let start = gpa.get().max(number << 12) >> 3 & 511;
                let end = last.min(number << 12 | 0xfff) >> 3 & 511;
                let mut written = EntrySet::default();
                for slot in start..=end {
                    written[slot as usize / 64] |= 1 << (slot % 64);
                }
                self.sync_instances(frame, &written, None, false, ops)?;
                self.counters.server_write += 1;
            }
        }
        Ok(())
    }
}

impl crate::spaces::SpaceKey {
    /// The paging state that a space stands for; the vCPU does not matter.
    pub(crate) fn context(self) -> Option<PagingContext> {
        let view = self.view()?;
        Some(PagingContext {
            vcpu: VcpuId::BOOT,
            root: self.root(),
            write_protect: view != View::KernelWp0,
            user: view == View::User,
        })
    }
}
