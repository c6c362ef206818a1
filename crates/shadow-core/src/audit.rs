//! Checks of the invariants S1–S17 over all records.
//!
//! An audit is a walk over *units* (a frame, an extra copy, a shadow table, a
//! list, a space), each checked by itself, so that a running system can check a
//! few at a time ([`ShadowMmu::audit_some`]) while records change in between.
//! What is checked for one shadow table is in `audit_table.rs`.

use core::fmt;

use x86::{GuestMemory, Gva, Level};

use crate::copies::{Claim, MAX_COPIES_PER_FRAME};
use crate::frames::Tracking;
use crate::last_path::LastPath;
use crate::mappings::{CopyId, SpaceId};
use crate::mmu::ShadowMmu;
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

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} does not hold at {:#x}", self.invariant, self.place)
    }
}

pub(crate) fn check(
    holds: bool,
    invariant: Invariant,
    place: impl Into<u64>,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, place: place.into() }) }
}

const ALL_LEVELS: [Level; 4] = [Level::L1, Level::L2, Level::L3, Level::L4];

/// What an audit looks at by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Frame(u32),
    Extra(u32),
    Table(Level, u16),
    FreeCopies,
    /// Tables of a level that are not linked.
    Unlinked(Level),
    Space(u16),
    LastPath,
}

/// How far an audit has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditCursor(u64);

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Checks every invariant but S16 over all records; linear in their number.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn audit(&self) -> Result<(), Violation> {
        let units = (0..).map_while(|number| self.unit(number));
        for unit in units {
            self.audit_unit(unit)?;
        }
        Ok(())
    }

    /// Checks S16 over all shadow tables; linear in the entries in use.
    ///
    /// # Errors
    /// The first [`Violation`] found; its place is the guest table's frame.
    pub fn audit_contents(&self, memory: &impl GuestMemory) -> Result<(), Violation> {
        for level in ALL_LEVELS {
            for index in 0..self.tables.count(level) as u16 {
                self.audit_entries(TableRef::new(level, index), memory)?;
            }
        }
        Ok(())
    }

    /// Checks the next `units`, in turn and over and over; `true` when all have
    /// been looked at once more. Not to be called while a request has more to do
    /// ([`crate::MapError::AGAIN`]), for then S16 need not hold.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn audit_some(
        &self,
        cursor: &mut AuditCursor,
        units: u32,
        memory: &impl GuestMemory,
    ) -> Result<bool, Violation> {
        for _ in 0..units {
            let Some(unit) = self.unit(cursor.0) else {
                *cursor = AuditCursor::default();
                return Ok(true);
            };
            self.audit_unit(unit)?;
            if let Unit::Table(level, index) = unit {
                self.audit_entries(TableRef::new(level, index), memory)?;
            }
            cursor.0 += 1;
        }
        Ok(false)
    }

    fn extras(&self) -> usize {
        self.copies.count() - self.frames.len()
    }

    /// Unit number `number`; `None` past the last.
    fn unit(&self, number: u64) -> Option<Unit> {
        let mut left = number;
        let mut within = |count: usize| {
            let inside = (left < count as u64).then_some(left);
            left = left.saturating_sub(count as u64);
            inside
        };
        if let Some(frame) = within(self.frames.len()) {
            return Some(Unit::Frame(frame as u32));
        }
        if let Some(extra) = within(self.extras()) {
            return Some(Unit::Extra(extra as u32));
        }
        for level in ALL_LEVELS {
            if let Some(index) = within(self.tables.count(level)) {
                return Some(Unit::Table(level, index as u16));
            }
        }
        if let Some(space) = within(self.tables.count(Level::L4)) {
            return Some(Unit::Space(space as u16));
        }
        const LAST: [Unit; 5] = [
            Unit::FreeCopies,
            Unit::Unlinked(Level::L1),
            Unit::Unlinked(Level::L2),
            Unit::Unlinked(Level::L3),
            Unit::LastPath,
        ];
        LAST.get(left as usize).copied()
    }

    fn audit_unit(&self, unit: Unit) -> Result<(), Violation> {
        match unit {
            Unit::Frame(frame) => {
                self.audit_copies_of(frame)?;
                self.audit_tracking(frame)
            }
            Unit::Extra(extra) => self.audit_extra(CopyId(self.frames.len() as u32 + extra)),
            Unit::Table(level, index) => self.audit_table(TableRef::new(level, index)),
            Unit::FreeCopies => self.audit_free_copies(),
            Unit::Unlinked(level) => self.audit_unlinked(level),
            Unit::Space(space) => self.audit_space(SpaceId(space)),
            Unit::LastPath => self.audit_last_path(),
        }
    }

    /// S13 and S15 for one frame.
    fn audit_tracking(&self, frame: u32) -> Result<(), Violation> {
        let mut instances = 0;
        for TableRef { level, index } in self.tables.instances(&self.frames, frame) {
            instances += 1;
            let belongs = self.tables.listed_as(level, index) == Listed::ByFrame
                && self.tables.origin(level, index).table_frame(&self.frames) == Some(frame);
            check(belongs, Invariant::S13, frame)?;
        }
        let plain = self.frames.tracking(frame) == Tracking::Plain;
        check(plain == (instances == 0), Invariant::S13, frame)?;
        match self.frames.out_of_sync_page(frame) {
            None => Ok(()),
            Some(page) => {
                let at_home = self.oos.occupant(&self.frames, page) == Some(frame);
                check(at_home, Invariant::S15, frame)
            }
        }
    }

    /// S2, S3 and S12 for one frame's chain.
    fn audit_copies_of(&self, frame: u32) -> Result<(), Violation> {
        let count = self.frames.record(frame).extra_count;
        let chain = || self.copies.of_frame(&self.frames, frame);
        let length_ok = count < MAX_COPIES_PER_FRAME && chain().count() == usize::from(count) + 1;
        check(length_ok, Invariant::S3, frame)?;
        for (position, copy) in chain().enumerate() {
            let own =
                self.copies.frame(copy) == frame && self.copies.is_spare(copy) == (position == 0);
            check(own, Invariant::S3, copy.0)?;
            let claim = self.copies.claim(copy);
            if claim == Claim::NONE {
                continue;
            }
            check(!self.copies.is_empty(copy), Invariant::S12, copy.0)?;
            let mut others = chain().skip(position + 1);
            let twin = others.any(|other| self.copies.claim(other) == claim);
            let real = claim.space().index() < self.tables.count(Level::L4);
            check(!twin && real, Invariant::S2, copy.0)?;
        }
        Ok(())
    }

    /// S3 for one extra slot: in its frame's chain, or without a cap.
    fn audit_extra(&self, copy: CopyId) -> Result<(), Violation> {
        let mut chain = self.copies.of_frame(&self.frames, self.copies.frame(copy));
        let chained = chain.any(|other| other == copy);
        check(chained != self.copies.is_empty(copy), Invariant::S3, copy.0)
    }

    /// S3 and S12 for the free list: it has exactly the extra slots without a cap.
    fn audit_free_copies(&self) -> Result<(), Violation> {
        let first = self.frames.len() as u32;
        let mut free = 0;
        for copy in self.copies.free_list() {
            free += 1;
            let empty = !self.copies.is_spare(copy) && self.copies.is_empty(copy);
            check(empty, Invariant::S3, copy.0)?;
            check(self.copies.claim(copy) == Claim::NONE, Invariant::S12, copy.0)?;
        }
        let slots = (first..first + self.extras() as u32).map(CopyId);
        let empty = slots.filter(|&copy| self.copies.is_empty(copy)).count();
        check(free == empty, Invariant::S3, empty as u64)
    }

    /// S6 for one level.
    fn audit_unlinked(&self, level: Level) -> Result<(), Violation> {
        let mut listed = 0;
        for (index, state) in self.tables.listed(level) {
            listed += 1;
            let right = self.tables.state(level, index) == state
                && self.tables.present_slots(level, index).next().is_none();
            check(right, Invariant::S6, index)?;
        }
        let unlinked = (0..self.tables.count(level) as u16)
            .filter(|&index| self.tables.state(level, index) != TableState::Linked)
            .count();
        check(listed == unlinked, Invariant::S6, level as u64)
    }

    /// S10 and S17 for one space.
    fn audit_space(&self, space: SpaceId) -> Result<(), Violation> {
        let key = self.spaces.key(space);
        let mut others = self.spaces.ids().filter(|&other| other != space);
        let twin = others.any(|other| self.spaces.key(other) == key);
        check(key == SpaceKey::NONE || !twin, Invariant::S10, space.0)?;
        let fresh = !self.spaces.is_active(space) || self.tables.first_stale(space).is_none();
        check(fresh, Invariant::S17, space.0)
    }

    /// S11.
    fn audit_last_path(&self) -> Result<(), Violation> {
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
