//! The pools of shadow paging objects and what each object holds.
//!
//! ```text
//!            link                    drop_subtree (one unmap)
//!   Free ───────────> Linked ─────────────────────────────> Free
//!    ^                   │ an ancestor is unlinked
//!    │ unmap before      v
//!    └─── reuse ─── Detached      (still "mapped" and full for the kernel)
//! ```
//!
//! An entry of a record means something only while its bit in `present` is
//! set; a Free or Detached table has none. So detaching a table costs eight
//! words, and no stale entry can be read.

use x86::{Gva, Level};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::frames::Frames;
use crate::mappings::{CopyId, SpaceId};
use crate::origin::Origin;

/// Entries of a paging object.
pub const ENTRIES: usize = 512;
const WORDS: usize = ENTRIES / 64;

/// A set of entries of one table, a bit each.
pub(crate) type EntrySet = [u64; WORDS];
const NOBODY: u16 = 0;

/// Life of a shadow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableState {
    /// Unmapped and empty, on the free list.
    Free,
    /// Reachable from its space's root.
    Linked,
    /// An ancestor was unlinked; on the detached list, to be unmapped before reuse.
    Detached,
}

const FREE: u8 = 0;
const LINKED: u8 = 1;
const DETACHED: u8 = 2;

/// Record of one shadow table (or root). All-zero is Free, on no list.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TableRecord {
    /// First address it covers.
    va: u64,
    /// What it was built from (R1).
    origin: u64,
    /// Which entries are in use.
    present: [u64; WORDS],
    /// The space it belongs to.
    space: u16,
    /// Its parent in the pool of the level above.
    parent: u16,
    /// Entries in use that lead to a live leaf.
    used: u16,
    /// Next table on the same list, plus one.
    next: u16,
    state: u8,
    /// On which list of instances it is.
    pub(crate) listed: u8,
    _reserved: [u8; 2],
    /// Neighbours on that list ([`crate::tracking::TableRef`]); 0 for none.
    pub(crate) list_next: u32,
    pub(crate) list_prev: u32,
    /// Of a root: the first stale instance of its space.
    pub(crate) stale: u32,
}

impl TableRecord {
    const BLANK: Self = Self {
        va: 0,
        origin: Origin::NONE.bits(),
        present: [0; WORDS],
        space: 0,
        parent: 0,
        used: 0,
        next: NOBODY,
        state: FREE,
        listed: 0,
        _reserved: [0; 2],
        list_next: 0,
        list_prev: 0,
        stale: 0,
    };
}

/// Child tables of an upper table: index in the pool of the level below.
pub type Children = [u16; ENTRIES];

/// One leaf: the copy that is mapped, and in bit 31 whether it is writable.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct LeafRecord(u32);

const LEAF_WRITABLE: u32 = 1 << 31;

impl LeafRecord {
    pub(crate) const fn new(copy: CopyId, writable: bool) -> Self {
        Self(copy.0 | if writable { LEAF_WRITABLE } else { 0 })
    }

    pub(crate) const fn copy(self) -> CopyId {
        CopyId(self.0 & !LEAF_WRITABLE)
    }

    pub(crate) const fn is_writable(self) -> bool {
        self.0 & LEAF_WRITABLE != 0
    }
}

/// Leaves of a level-1 table.
pub type Leaves = [LeafRecord; ENTRIES];

/// The lent slices of all levels.
pub(crate) struct TableSlices<'a> {
    /// Records by level from 1; level 4 are the roots, one per space.
    pub records: [&'a mut [TableRecord]; 4],
    /// Children by level from 2.
    pub children: [&'a mut [Children]; 3],
    /// Leaves of the level-1 tables.
    pub leaves: &'a mut [Leaves],
}

/// All shadow tables. Indices given to its methods come from its own records;
/// an index out of range is a defect and panics.
pub(crate) struct Tables<'a> {
    slices: TableSlices<'a>,
    /// Heads of the free lists, by level from 1, plus one.
    free: [u16; 3],
    /// Heads of the detached lists.
    detached: [u16; 3],
    /// Next victim by level: first in, first out, so that the tables of one
    /// instruction's addresses can always be present together.
    hand: [u16; 3],
}

const fn at(level: Level) -> usize {
    level as usize - 1
}

impl<'a> Tables<'a> {
    pub(crate) fn new(slices: TableSlices<'a>) -> Self {
        let blank = TableRecord::BLANK;
        let mut free = [NOBODY; 3];
        for level in [Level::L1, Level::L2, Level::L3] {
            let records = &mut *slices.records[at(level)];
            for index in (0..records.len() as u16).rev() {
                records[usize::from(index)] = TableRecord { next: free[at(level)], ..blank };
                free[at(level)] = index + 1;
            }
        }
        for (space, root) in (0..).zip(&mut *slices.records[at(Level::L4)]) {
            *root = TableRecord { space, state: LINKED, ..blank };
        }
        Self { slices, free, detached: [NOBODY; 3], hand: [0; 3] }
    }

    #[inline]
    pub(crate) fn record(&self, level: Level, index: u16) -> &TableRecord {
        &self.slices.records[at(level)][usize::from(index)]
    }

    pub(crate) fn record_mut(&mut self, level: Level, index: u16) -> &mut TableRecord {
        &mut self.slices.records[at(level)][usize::from(index)]
    }

    pub(crate) fn count(&self, level: Level) -> usize {
        self.slices.records[at(level)].len()
    }

    pub(crate) fn state(&self, level: Level, index: u16) -> TableState {
        match self.record(level, index).state {
            LINKED => TableState::Linked,
            DETACHED => TableState::Detached,
            _ => TableState::Free,
        }
    }

    #[inline]
    pub(crate) fn origin(&self, level: Level, index: u16) -> Origin {
        Origin::from_record(self.record(level, index).origin)
    }

    /// Only [`crate::tracking`] writes origins, since lists depend on them.
    pub(crate) fn write_origin(&mut self, level: Level, index: u16, origin: Origin) {
        self.record_mut(level, index).origin = origin.bits();
    }

    pub(crate) fn space(&self, level: Level, index: u16) -> SpaceId {
        SpaceId(self.record(level, index).space)
    }

    pub(crate) fn va(&self, level: Level, index: u16) -> Gva {
        Gva::new(self.record(level, index).va)
    }

    pub(crate) fn parent(&self, level: Level, index: u16) -> u16 {
        self.record(level, index).parent
    }

    /// Entries that lead to a live leaf.
    #[inline]
    pub(crate) fn used(&self, level: Level, index: u16) -> u16 {
        self.record(level, index).used
    }

    #[inline]
    pub(crate) fn is_present(&self, level: Level, index: u16, slot: usize) -> bool {
        self.record(level, index).present[slot / 64 % WORDS] & 1 << (slot % 64) != 0
    }

    /// Which entries are in use, as bits.
    pub(crate) fn present(&self, level: Level, index: u16) -> &EntrySet {
        &self.record(level, index).present
    }

    /// The entries in use, as a set that later changes do not touch.
    pub(crate) fn present_slots(&self, level: Level, index: u16) -> Slots {
        Slots { words: self.record(level, index).present, word: 0 }
    }

    /// The child linked at `slot` of an upper table.
    #[inline]
    pub(crate) fn child(&self, level: Level, index: u16, slot: usize) -> Option<u16> {
        self.is_present(level, index, slot)
            .then(|| self.slices.children[at(level) - 1][usize::from(index)][slot % ENTRIES])
    }

    /// The leaf at `slot` of a level-1 table.
    #[inline]
    pub(crate) fn leaf(&self, table: u16, slot: usize) -> Option<LeafRecord> {
        self.is_present(Level::L1, table, slot)
            .then(|| self.slices.leaves[usize::from(table)][slot % ENTRIES])
    }

    /// Records a leaf at `slot`, in place of one whose copy was unmapped.
    #[inline]
    pub(crate) fn insert_leaf(&mut self, table: u16, slot: usize, leaf: LeafRecord) {
        self.slices.leaves[usize::from(table)][slot % ENTRIES] = leaf;
        let word = &mut self.record_mut(Level::L1, table).present[slot / 64 % WORDS];
        let before = core::mem::replace(word, *word | 1 << (slot % 64));
        if before & 1 << (slot % 64) == 0 {
            self.count_used(Level::L1, table);
        }
    }

    /// Changes the rights of a leaf in use.
    pub(crate) fn rewrite_leaf(&mut self, table: u16, slot: usize, leaf: LeafRecord) {
        self.slices.leaves[usize::from(table)][slot % ENTRIES] = leaf;
    }

    /// Forgets the leaf at `slot`.
    pub(crate) fn remove_leaf(&mut self, table: u16, slot: usize) {
        self.record_mut(Level::L1, table).present[slot / 64 % WORDS] &= !(1 << (slot % 64));
        self.count_unused(Level::L1, table);
    }

    /// One more entry of the table leads to a live leaf; tells the ancestors
    /// if it was the first.
    #[inline]
    fn count_used(&mut self, mut level: Level, mut index: u16) {
        loop {
            let record = self.record_mut(level, index);
            record.used += 1;
            let (first, parent) = (record.used == 1, record.parent);
            match level.above() {
                Some(above) if first => (level, index) = (above, parent),
                _ => return,
            }
        }
    }

    fn count_unused(&mut self, mut level: Level, mut index: u16) {
        loop {
            let record = self.record_mut(level, index);
            record.used -= 1;
            let (last, parent) = (record.used == 0, record.parent);
            match level.above() {
                Some(above) if last => (level, index) = (above, parent),
                _ => return,
            }
        }
    }

    /// Takes a table off the free list.
    pub(crate) fn take_free(&mut self, level: Level) -> Option<u16> {
        let index = self.free[at(level)].checked_sub(1)?;
        self.free[at(level)] = self.record(level, index).next;
        Some(index)
    }

    /// Puts an unmapped, empty table on the free list.
    pub(crate) fn give_free(&mut self, level: Level, index: u16) {
        let next = self.free[at(level)];
        let record = self.record_mut(level, index);
        record.state = FREE;
        record.next = next;
        self.free[at(level)] = index + 1;
    }

    /// The table that [`Self::clear_detached`] would move, without moving it.
    pub(crate) fn first_detached(&self, level: Level) -> Option<u16> {
        self.detached[at(level)].checked_sub(1)
    }

    /// Moves the first detached table, which was unmapped just now, to the free list.
    pub(crate) fn clear_detached(&mut self, level: Level) {
        if let Some(index) = self.first_detached(level) {
            self.detached[at(level)] = self.record(level, index).next;
            self.give_free(level, index);
        }
    }

    /// Next table to take from its place, when none is free: all of the level are linked.
    pub(crate) fn next_victim(&mut self, level: Level) -> u16 {
        let count = self.count(level) as u16;
        let victim = self.hand[at(level)] % count;
        self.hand[at(level)] = (victim + 1) % count;
        victim
    }

    /// Records that a table taken from the free list is linked below `parent`.
    pub(crate) fn link(&mut self, level: Level, index: u16, space: SpaceId, parent: u16, va: Gva) {
        *self.record_mut(level, index) = TableRecord {
            va: va.get(),
            space: space.0,
            parent,
            state: LINKED,
            ..TableRecord::BLANK
        };
        if let Some(above) = level.above() {
            let slot = above.index(va);
            self.slices.children[at(above) - 1][usize::from(parent)][slot] = index;
            self.record_mut(above, parent).present[slot / 64 % WORDS] |= 1 << (slot % 64);
        }
    }

    /// Records that a linked table was unmapped: it becomes free and all
    /// tables below it detached.
    pub(crate) fn unlink(&mut self, frames: &mut Frames<'_>, level: Level, index: u16) {
        let (va, parent, used) = {
            let record = self.record(level, index);
            (Gva::new(record.va), record.parent, record.used)
        };
        if let Some(above) = level.above() {
            let slot = above.index(va);
            self.record_mut(above, parent).present[slot / 64 % WORDS] &= !(1 << (slot % 64));
            if used != 0 {
                self.count_unused(above, parent);
            }
        }
        self.detach_children(frames, level, index);
        self.give_free(level, index);
    }

    fn detach_children(&mut self, frames: &mut Frames<'_>, level: Level, index: u16) {
        self.forget_origin(frames, level, index);
        if let Some(below) = level.below() {
            for slot in self.present_slots(level, index) {
                if let Some(child) = self.child(level, index, slot) {
                    self.detach_children(frames, below, child);
                    let next = self.detached[at(below)];
                    let record = self.record_mut(below, child);
                    record.state = DETACHED;
                    record.next = next;
                    self.detached[at(below)] = child + 1;
                }
            }
        }
        let record = self.record_mut(level, index);
        record.present = [0; WORDS];
        record.used = 0;
    }

    /// Indices on the free list and then on the detached list, for the audit;
    /// gives at most as many as there are tables.
    pub(crate) fn listed(&self, level: Level) -> impl Iterator<Item = (u16, TableState)> {
        let list = move |head: u16, state| {
            let first = head.checked_sub(1);
            core::iter::successors(first, move |&index| {
                self.record(level, index).next.checked_sub(1)
            })
            .map(move |index| (index, state))
        };
        list(self.free[at(level)], TableState::Free)
            .chain(list(self.detached[at(level)], TableState::Detached))
            .take(self.count(level) + 1)
    }
}

/// The entries of a table that were in use at some moment, in ascending order.
pub(crate) struct Slots {
    words: [u64; WORDS],
    word: usize,
}

impl Slots {
    /// The members of `set`, in ascending order.
    pub(crate) const fn of(set: EntrySet) -> Self {
        Self { words: set, word: 0 }
    }
}

impl Iterator for Slots {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while let Some(bits) = self.words.get_mut(self.word) {
            if *bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                return Some(self.word * 64 + bit);
            }
            self.word += 1;
        }
        None
    }
}

#[cfg(feature = "states")]
impl Tables<'_> {
    /// Of a table that is not linked, only its place on its list counts.
    pub(crate) fn fingerprint(&self, state: &mut impl core::hash::Hasher) {
        for level in Level::TOP_DOWN {
            for (index, record) in (0..).zip(&*self.slices.records[at(level)]) {
                state.write_u8(record.state);
                if record.state != LINKED {
                    state.write_u16(record.next);
                    continue;
                }
                state.write(record.as_bytes());
                for slot in self.present_slots(level, index) {
                    let child = self.child_ref(crate::tracking::TableRef::new(level, index), slot);
                    let leaf = (level == Level::L1).then(|| self.leaf(index, slot)).flatten();
                    state.write_u16(child.map_or(0, |child| child.index));
                    state.write_u32(leaf.map_or(0, |leaf| leaf.0));
                }
            }
        }
        core::hash::Hash::hash(&[self.free, self.detached, self.hand], state);
    }

    pub(crate) fn copy_to<'b>(&self, mut slices: TableSlices<'b>) -> Tables<'b> {
        for (to, from) in slices.records.iter_mut().zip(&self.slices.records) {
            to.copy_from_slice(from);
        }
        for (to, from) in slices.children.iter_mut().zip(&self.slices.children) {
            to.copy_from_slice(from);
        }
        slices.leaves.copy_from_slice(self.slices.leaves);
        Tables { slices, free: self.free, detached: self.detached, hand: self.hand }
    }
}
