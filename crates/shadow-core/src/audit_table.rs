//! What an audit checks for one shadow table.

use x86::{Gfn, GuestMemory, Level};

use crate::audit::{Invariant, Violation, check};
use crate::context::View;
use crate::copies::Claim;
use crate::frames::{FrameKind, HostMap, Tracking};
use crate::mmu::ShadowMmu;
use crate::origin::Rights;
use crate::tables::{LeafRecord, TableState};
use crate::tracking::{Listed, TableRef};

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// S1, S4, S5, S7, S8, S9, S13 and S14 for one table and its leaves.
    pub(crate) fn audit_table(&self, table: TableRef) -> Result<(), Violation> {
        let TableRef { level, index } = table;
        let linked = self.tables.state(level, index) == TableState::Linked;
        if self.tables.listed_as(level, index) == Listed::ByFrame {
            let tracked = self.tables.origin(level, index).table_frame(&self.frames);
            let reachable =
                tracked.is_some_and(|frame| self.tables.is_on_list(&self.frames, table, frame));
            check(linked && reachable, Invariant::S13, index)?;
        }
        let mut live = 0;
        for slot in self.tables.present_slots(level, index) {
            live += u16::from(self.leads_to_leaf(table, slot));
            let leaf = (level == Level::L1).then(|| self.tables.leaf(index, slot));
            if let Some(leaf) = leaf.flatten() {
                self.audit_leaf(index, slot, leaf)?;
            }
        }
        check(live == self.tables.used(level, index), Invariant::S5, index)?;
        if linked && level != Level::L4 {
            self.audit_link(level, index)?;
        }
        Ok(())
    }

    fn leads_to_leaf(&self, table: TableRef, slot: usize) -> bool {
        match self.tables.child_ref(table, slot) {
            None => table.level == Level::L1,
            Some(child) => self.tables.used(child.level, child.index) != 0,
        }
    }

    fn audit_leaf(&self, table: u16, slot: usize, leaf: LeafRecord) -> Result<(), Violation> {
        let (copy, writable) = (leaf.copy(), leaf.is_writable());
        let space = self.tables.space(Level::L1, table);
        let gva = self.tables.va(Level::L1, table).wrapping_add((slot as u64) << 12);
        let place = Claim::new(space, gva);
        let at_home = !self.copies.is_empty(copy)
            && self.copies.claim(copy) == place
            && self.copies.table(copy) == table
            && self.copies.live_slot(&self.tables, copy) == Some(slot);
        check(at_home, Invariant::S1, copy.0)?;
        let frame = self.copies.frame(copy);
        let gfn = Gfn::new(frame.into());
        let mapped_as = match self.frames.kind(gfn) {
            FrameKind::Ram => true,
            FrameKind::ReadOnly => !writable,
            FrameKind::NotRam => false,
        };
        check(mapped_as, Invariant::S7, frame)?;
        let allowed = match self.frames.tracking(frame) {
            Tracking::Plain => true,
            Tracking::Synced => false,
            Tracking::OutOfSync => self
                .frames
                .out_of_sync_page(frame)
                .is_some_and(|page| self.oos.fixups(page).contains(&place)),
        };
        check(!writable || allowed, Invariant::S14, frame)?;
        self.audit_rights(table, slot, gfn, writable)
    }

    /// S8 and S9 for one leaf.
    fn audit_rights(
        &self,
        table: u16,
        slot: usize,
        gfn: Gfn,
        writable: bool,
    ) -> Result<(), Violation> {
        let origin = self.tables.origin(Level::L1, table);
        let view = self.spaces.key(self.tables.space(Level::L1, table)).view();
        let user_ok = view != Some(View::User) || origin.rights().contains(Rights::USER);
        let write_ok =
            !writable || view == Some(View::KernelWp0) || origin.rights().contains(Rights::WRITE);
        check(view.is_some() && user_ok && write_ok, Invariant::S8, table)?;
        let in_page = !origin.is_superpage() || gfn.get() == origin.gfn().get() + slot as u64;
        check(in_page, Invariant::S9, table)
    }

    /// S4 and S9 for one linked table below the root.
    fn audit_link(&self, level: Level, index: u16) -> Result<(), Violation> {
        let above = level.above().unwrap_or(Level::L4);
        let (va, parent) = (self.tables.va(level, index), self.tables.parent(level, index));
        let linked = self.tables.state(above, parent) == TableState::Linked
            && self.tables.space(above, parent) == self.tables.space(level, index)
            && self.tables.child(above, parent, above.index(va)) == Some(index)
            && va.get() % (level.span() << 9) == 0;
        check(linked, Invariant::S4, index)?;
        if above == Level::L4 {
            return Ok(());
        }
        let covers = va.get() & !((above.span() << 9) - 1);
        check(covers == self.tables.va(above, parent).get(), Invariant::S4, index)?;
        if self.tables.used(level, index) == 0 {
            return Ok(());
        }
        let mine = self.tables.origin(level, index);
        let upper = self.tables.origin(above, parent);
        check(upper.rights().contains(mine.rights()), Invariant::S9, index)?;
        let part = ((above.index(va) as u64) << above.shift()) >> 12;
        let continues = mine.is_superpage() && mine.gfn().get() == upper.gfn().get() + part;
        check(!upper.is_superpage() || continues, Invariant::S9, index)
    }

    /// S16 for one table.
    pub(crate) fn audit_entries(
        &self,
        table: TableRef,
        memory: &impl GuestMemory,
    ) -> Result<(), Violation> {
        let TableRef { level, index } = table;
        if self.tables.listed_as(level, index) != Listed::ByFrame {
            return Ok(());
        }
        let Some(frame) = self.tables.origin(level, index).table_frame(&self.frames) else {
            return Ok(());
        };
        // A and D of a table in read-only memory count as set.
        if self.frames.kind(Gfn::new(frame.into())) == FrameKind::ReadOnly {
            return Ok(());
        }
        let page = self.frames.out_of_sync_page(frame);
        for slot in self.tables.present_slots(level, index) {
            // Siblings may write the table meanwhile, so it is read once.
            let live = self.live_entry(table, slot, memory);
            let settled = page.is_none_or(|page| self.oos.is_settled(page, slot, live.bits()));
            check(!settled || self.is_right(table, slot, live), Invariant::S16, frame)?;
        }
        Ok(())
    }
}
