//! Checks of the invariants S1–S17 over all records.

use x86::{Gfn, GuestMemory, Gva, Level};

use crate::context::View;
use crate::copies::{Claim, MAX_COPIES_PER_FRAME};
use crate::frames::{FrameKind, HostMap, Tracking};
use crate::instances::LastPath;
use crate::mappings::SpaceId;
use crate::mmu::{LiveLeaf, ShadowMmu};
use crate::origin::Rights;
use crate::spaces::SpaceKey;
use crate::tables::TableState;
use crate::tracking::{Listed, TableRef};

/// The invariants, as numbered in `docs/shadow-mmu.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invariant {
    /// Every leaf names a copy that exists and claims the leaf's place.
    S1,
    /// At most one copy of a frame claims a place.
    S2,
    /// Every extra slot is in exactly one chain, with its frame's number and
    /// within the length limit, or on the free list.
    S3,
    /// Every linked table is the child of a linked parent of the same space,
    /// at the address it covers.
    S4,
    /// `used` counts the entries that lead to live leaves.
    S5,
    /// The free and detached lists hold exactly the tables of that state, all empty.
    S6,
    /// A writable leaf maps a frame that is not read-only.
    S7,
    /// A leaf in a user view has U, and a writable one outside the WP = 0 view
    /// W, on all upper levels.
    S8,
    /// Where leaves are live, the origins on the path fit together: rights
    /// only shrink downwards and superpages continue.
    S9,
    /// No two spaces shadow the same root and view.
    S10,
    /// The remembered last path is a linked path with those origins.
    S11,
    /// A slot without a cap claims nothing.
    S12,
    /// A frame is tracked if and only if instances are on its list, and those
    /// are linked tables that were built from it.
    S13,
    /// No mapping of a Synced frame is writable, and each writable one of an
    /// out-of-sync frame is a fixup of its page.
    S14,
    /// An out-of-sync frame is in its slot.
    S15,
    /// What lies below an entry of a Synced table is what the entry says now;
    /// for an out-of-sync table, if the entry is the snapshot's and has not
    /// diverged ([`ShadowMmu::audit_contents`]).
    S16,
    /// No instance is stale in a space that a vCPU runs in.
    S17,
}

/// An invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Where: a copy, table, space or frame number, as the invariant suggests.
    pub place: u64,
}

fn check(holds: bool, invariant: Invariant, place: impl Into<u64>) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation {
            invariant,
            place: place.into(),
        })
    }
}

const BELOW_ROOT: [Level; 3] = [Level::L1, Level::L2, Level::L3];

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Checks every invariant over all records; linear in their number.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn audit(&self) -> Result<(), Violation> {
        self.audit_leaves()?;
        self.audit_copies()?;
        self.audit_tables()?;
        self.audit_lists()?;
        self.audit_tracking()?;
        self.audit_spaces()
    }

    fn audit_tracking(&self) -> Result<(), Violation> {
        let mut on_lists = 0;
        for frame in 0..self.frames.len() as u32 {
            let mut instances = 0;
            for TableRef { level, index } in self.tables.instances(&self.frames, frame) {
                instances += 1;
                let origin = self.tables.origin(level, index);
                let belongs = self.tables.listed_as(level, index) == Listed::ByFrame
                    && self.tables.state(level, index) == TableState::Linked
                    && origin.table_frame(&self.frames) == Some(frame);
                check(belongs, Invariant::S13, frame)?;
            }
            on_lists += instances;
            let plain = self.frames.tracking(frame) == Tracking::Plain;
            check(plain == (instances == 0), Invariant::S13, frame)?;
            if let Some(page) = self.frames.out_of_sync_page(frame) {
                let at_home = self.oos.occupant(&self.frames, page) == Some(frame);
                check(at_home, Invariant::S15, frame)?;
            }
        }
        let all = [Level::L1, Level::L2, Level::L3, Level::L4];
        let listed = all.into_iter().flat_map(|level| {
            (0..self.tables.count(level) as u16)
                .filter(move |&index| self.tables.listed_as(level, index) == Listed::ByFrame)
        });
        check(listed.count() == on_lists, Invariant::S13, on_lists as u64)
    }

    /// S14 for one leaf.
    fn audit_writable(&self, leaf: &LiveLeaf) -> Result<(), Violation> {
        let frame = leaf.gfn.get() as u32;
        let allowed = match self.frames.tracking(frame) {
            Tracking::Plain => true,
            Tracking::Synced => false,
            Tracking::OutOfSync => self.frames.out_of_sync_page(frame).is_some_and(|page| {
                let place = Claim::new(leaf.space, leaf.gva);
                self.oos.fixups(page).contains(&place)
            }),
        };
        check(!leaf.writable || allowed, Invariant::S14, frame)
    }

    /// Checks S16 over all tracked tables; linear in the entries in use.
    ///
    /// # Errors
    /// The first [`Violation`] found; its place is the guest table's frame.
    pub fn audit_contents(&self, memory: &impl GuestMemory) -> Result<(), Violation> {
        for frame in 0..self.frames.len() as u32 {
            // A and D of a table in read-only memory count as set.
            if self.frames.kind(Gfn::new(frame.into())) == FrameKind::ReadOnly {
                continue;
            }
            let page = self.frames.out_of_sync_page(frame);
            for table in self.tables.instances(&self.frames, frame) {
                for slot in self.tables.present_slots(table.level, table.index) {
                    let settled = page.is_none_or(|page| {
                        let live = self.live_entry(table, slot, memory).bits();
                        self.oos.is_settled(page, slot, live)
                    });
                    let right = !settled || self.is_right(table, slot, memory);
                    check(right, Invariant::S16, frame)?;
                }
            }
        }
        Ok(())
    }

    fn audit_leaves(&self) -> Result<(), Violation> {
        for leaf in self.live_leaves() {
            let copy = leaf.copy;
            let place = Claim::new(leaf.space, leaf.gva);
            let at_home = !self.copies.is_empty(copy) && self.copies.claim(copy) == place;
            check(at_home, Invariant::S1, copy.0)?;
            let slot = self.copies.live_slot(&self.tables, copy);
            check(
                slot == Some(Level::L1.index(leaf.gva)),
                Invariant::S1,
                copy.0,
            )?;
            self.audit_writable(&leaf)?;
            let kind = self.frames.kind(leaf.gfn);
            check(kind != FrameKind::NotRam, Invariant::S7, leaf.gfn.get())?;
            check(
                !leaf.writable || kind == FrameKind::Ram,
                Invariant::S7,
                leaf.gfn.get(),
            )?;
            self.audit_leaf_path(
                self.copies.table(copy),
                Level::L1.index(leaf.gva),
                leaf.gfn,
                leaf.writable,
            )?;
        }
        Ok(())
    }

    /// S8 and S9 for one leaf.
    fn audit_leaf_path(
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

    fn audit_copies(&self) -> Result<(), Violation> {
        let mut in_chains = 0;
        for frame in 0..self.frames.len() as u32 {
            let count = self.frames.record(frame).extra_count;
            let chain = || self.copies.of_frame(&self.frames, frame);
            check(
                count < MAX_COPIES_PER_FRAME && chain().count() == usize::from(count) + 1,
                Invariant::S3,
                frame,
            )?;
            for (position, copy) in chain().enumerate() {
                check(self.copies.frame(copy) == frame, Invariant::S3, copy.0)?;
                check(
                    self.copies.is_spare(copy) == (position == 0),
                    Invariant::S3,
                    copy.0,
                )?;
                let claim = self.copies.claim(copy);
                check(
                    !self.copies.is_empty(copy) || claim == Claim::NONE,
                    Invariant::S12,
                    copy.0,
                )?;
                let twin = chain()
                    .skip(position + 1)
                    .any(|other| self.copies.claim(other) == claim);
                check(claim == Claim::NONE || !twin, Invariant::S2, copy.0)?;
                check(
                    claim == Claim::NONE || self.is_space(claim.space()),
                    Invariant::S2,
                    copy.0,
                )?;
            }
            in_chains += usize::from(count);
        }
        let mut free = 0;
        for copy in self.copies.free_list() {
            free += 1;
            check(
                !self.copies.is_spare(copy) && self.copies.is_empty(copy),
                Invariant::S3,
                copy.0,
            )?;
            check(
                self.copies.claim(copy) == Claim::NONE,
                Invariant::S12,
                copy.0,
            )?;
        }
        let extras = self.copies.count() - self.frames.len();
        check(free + in_chains == extras, Invariant::S3, extras as u64)
    }

    fn is_space(&self, space: SpaceId) -> bool {
        space.index() < self.tables.count(Level::L4)
    }

    fn audit_tables(&self) -> Result<(), Violation> {
        for level in [Level::L1, Level::L2, Level::L3, Level::L4] {
            for index in 0..self.tables.count(level) as u16 {
                let live = self
                    .tables
                    .present_slots(level, index)
                    .filter(|&slot| self.leads_to_leaf(level, index, slot));
                check(
                    live.count() == usize::from(self.tables.used(level, index)),
                    Invariant::S5,
                    index,
                )?;
                if level != Level::L4 && self.tables.state(level, index) == TableState::Linked {
                    self.audit_link(level, index)?;
                }
            }
        }
        Ok(())
    }

    fn leads_to_leaf(&self, level: Level, index: u16, slot: usize) -> bool {
        match level.below() {
            None => true,
            Some(below) => self
                .tables
                .child(level, index, slot)
                .is_some_and(|child| self.tables.used(below, child) != 0),
        }
    }

    /// S4 and S9 for one linked table.
    fn audit_link(&self, level: Level, index: u16) -> Result<(), Violation> {
        let above = level.above().unwrap_or(Level::L4);
        let (va, parent) = (
            self.tables.va(level, index),
            self.tables.parent(level, index),
        );
        let place = u64::from(index);
        check(
            self.tables.state(above, parent) == TableState::Linked,
            Invariant::S4,
            place,
        )?;
        check(
            self.tables.space(above, parent) == self.tables.space(level, index),
            Invariant::S4,
            place,
        )?;
        check(
            self.tables.child(above, parent, above.index(va)) == Some(index),
            Invariant::S4,
            place,
        )?;
        check(va.get() % (level.span() << 9) == 0, Invariant::S4, place)?;
        if above == Level::L4 {
            return Ok(());
        }
        check(
            va.get() & !((above.span() << 9) - 1) == self.tables.va(above, parent).get(),
            Invariant::S4,
            place,
        )?;
        if self.tables.used(level, index) == 0 {
            return Ok(());
        }
        let (mine, upper) = (
            self.tables.origin(level, index),
            self.tables.origin(above, parent),
        );
        check(upper.rights().contains(mine.rights()), Invariant::S9, place)?;
        let part = ((above.index(va) as u64) << above.shift()) >> 12;
        let continues = mine.is_superpage() && mine.gfn().get() == upper.gfn().get() + part;
        check(!upper.is_superpage() || continues, Invariant::S9, place)
    }

    fn audit_lists(&self) -> Result<(), Violation> {
        for level in BELOW_ROOT {
            let mut listed = 0;
            for (index, state) in self.tables.listed(level) {
                listed += 1;
                check(
                    self.tables.state(level, index) == state,
                    Invariant::S6,
                    index,
                )?;
                check(
                    self.tables.present_slots(level, index).next().is_none(),
                    Invariant::S6,
                    index,
                )?;
            }
            let unlinked = (0..self.tables.count(level) as u16)
                .filter(|&index| self.tables.state(level, index) != TableState::Linked)
                .count();
            check(listed == unlinked, Invariant::S6, level as u64)?;
        }
        Ok(())
    }

    fn audit_spaces(&self) -> Result<(), Violation> {
        for space in self.spaces.ids() {
            let key = self.spaces.key(space);
            let twin = self
                .spaces
                .ids()
                .any(|other| other != space && self.spaces.key(other) == key);
            check(key == SpaceKey::NONE || !twin, Invariant::S10, space.0)?;
            let fresh = !self.spaces.is_active(space) || self.tables.first_stale(space).is_none();
            check(fresh, Invariant::S17, space.0)?;
        }
        let last = &self.last;
        if last.prefix == LastPath::NONE.prefix {
            return Ok(());
        }
        let mut parent = last.space.0;
        let va = Gva::new(last.prefix << Level::L2.shift());
        for level in [Level::L3, Level::L2, Level::L1] {
            let above = level.above().unwrap_or(Level::L4);
            let child = self.tables.child(above, parent, above.index(va));
            let fits = child.is_some_and(|child| {
                self.tables.origin(level, child) == last.origins[level as usize - 1]
            });
            check(fits, Invariant::S11, last.table)?;
            parent = child.unwrap_or(0);
        }
        check(parent == last.table, Invariant::S11, last.table)
    }
}
