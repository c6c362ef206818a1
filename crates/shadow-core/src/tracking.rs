//! Which instances were built from which guest table.
//!
//! Every linked table whose origin is a guest table in RAM is on the list of
//! that frame, so that an event which concerns the frame reaches all its
//! instances. A frame with a list is *tracked*: Synced or OutOfSync; when its
//! last instance leaves, it is Plain again. An instance may leave the list and
//! still hold leaves: then it is *stale* (R6), on the list of its space, and
//! is emptied before that space runs.

use x86::Level;

use crate::frames::{Frames, Tracking};
use crate::mappings::SpaceId;
use crate::origin::Origin;
use crate::tables::{TableRecord, Tables};

/// A shadow table of any level in one word, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableRef {
    pub(crate) level: Level,
    pub(crate) index: u16,
}

impl TableRef {
    pub(crate) const fn new(level: Level, index: u16) -> Self {
        Self { level, index }
    }

    const fn word(self) -> u32 {
        (self.level as u32) << 16 | self.index as u32
    }

    fn from_word(word: u32) -> Option<Self> {
        let level = match word >> 16 {
            1 => Level::L1,
            2 => Level::L2,
            3 => Level::L3,
            4 => Level::L4,
            _ => return None,
        };
        Some(Self::new(level, word as u16))
    }
}

/// On which list a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Nowhere,
    /// On the list of the frame that it was built from.
    ByFrame,
    /// On its space's list of stale instances.
    Stale,
}

const BY_FRAME: u8 = 1;
const STALE: u8 = 2;

impl Tables<'_> {
    pub(crate) fn listed_as(&self, level: Level, index: u16) -> Listed {
        match self.record(level, index).listed {
            BY_FRAME => Listed::ByFrame,
            STALE => Listed::Stale,
            _ => Listed::Nowhere,
        }
    }

    /// Records what a linked table is built from, which must be tracked, or
    /// Plain without writable mappings: then it is Synced from now on.
    pub(crate) fn set_origin(
        &mut self,
        frames: &mut Frames<'_>,
        level: Level,
        index: u16,
        origin: Origin,
    ) {
        let frame = origin.table_frame(frames);
        let old = self.origin(level, index).table_frame(frames);
        if self.listed_as(level, index) == Listed::ByFrame && frame == old {
            // Only rights differ. Leaving the list might make the frame Plain,
            // and joining it again Synced, with its writable mappings.
            return self.write_origin(level, index, origin);
        }
        self.forget_origin(frames, level, index);
        self.write_origin(level, index, origin);
        let Some(frame) = frame else {
            return;
        };
        if frames.tracking(frame) == Tracking::Plain {
            frames.set_synced(frame);
        }
        let table = TableRef::new(level, index);
        let head = core::mem::replace(&mut frames.record_mut(frame).instances, table.word());
        self.push(table, head, BY_FRAME);
    }

    /// Takes a table off its list; its frame is Plain if it was the last.
    pub(crate) fn forget_origin(&mut self, frames: &mut Frames<'_>, level: Level, index: u16) {
        let table = TableRef::new(level, index);
        match self.listed_as(level, index) {
            Listed::Nowhere => {}
            Listed::ByFrame => self.leave_frame(frames, table),
            Listed::Stale => {
                let root = self.space(level, index).0;
                let mut head = self.record(Level::L4, root).stale;
                self.pull(table, &mut head);
                self.record_mut(Level::L4, root).stale = head;
            }
        }
        self.write_origin(level, index, Origin::NONE);
    }

    fn leave_frame(&mut self, frames: &mut Frames<'_>, table: TableRef) {
        let origin = self.origin(table.level, table.index);
        let Some(frame) = origin.table_frame(frames) else {
            return;
        };
        let mut head = frames.record(frame).instances;
        self.pull(table, &mut head);
        frames.record_mut(frame).instances = head;
        if head == 0 {
            frames.set_plain(frame);
        }
    }

    /// Makes an instance stale: no longer kept in step with its table.
    pub(crate) fn set_stale(&mut self, frames: &mut Frames<'_>, table: TableRef) {
        self.leave_frame(frames, table);
        let root = self.space(table.level, table.index).0;
        let head = self.record(Level::L4, root).stale;
        self.record_mut(Level::L4, root).stale = table.word();
        self.push(table, head, STALE);
    }

    /// The child linked at an entry of an upper table; `None` for leaves.
    pub(crate) fn child_ref(&self, table: TableRef, slot: usize) -> Option<TableRef> {
        let below = table.level.below()?;
        let child = self.child(table.level, table.index, slot)?;
        Some(TableRef::new(below, child))
    }

    /// The first stale instance of a space.
    pub(crate) fn first_stale(&self, space: SpaceId) -> Option<TableRef> {
        TableRef::from_word(self.record(Level::L4, space.0).stale)
    }

    /// Whether a level-1 table, or one above it, is stale: then it is emptied before
    /// its space runs.
    pub(crate) fn is_below_stale(&self, table: u16) -> bool {
        let mut index = table;
        [Level::L1, Level::L2, Level::L3, Level::L4].into_iter().any(|level| {
            let here = index;
            index = self.parent(level, here);
            self.listed_as(level, here) == Listed::Stale
        })
    }

    /// The first instance built from `frame`.
    pub(crate) fn first_instance(&self, frames: &Frames<'_>, frame: u32) -> Option<TableRef> {
        TableRef::from_word(frames.record(frame).instances)
    }

    /// The instance after `table` on its list.
    pub(crate) fn next_listed(&self, table: TableRef) -> Option<TableRef> {
        TableRef::from_word(self.entry(table).list_next)
    }

    /// Instances built from `frame`; at most as many as there are tables.
    pub(crate) fn instances(
        &self,
        frames: &Frames<'_>,
        frame: u32,
    ) -> impl Iterator<Item = TableRef> {
        let first = self.first_instance(frames, frame);
        core::iter::successors(first, |&table| self.next_listed(table)).take(1 << 18)
    }

    /// Whether a table hangs together with its neighbours on the list of `frame`.
    pub(crate) fn is_on_list(&self, frames: &Frames<'_>, table: TableRef, frame: u32) -> bool {
        let record = self.entry(table);
        let after_ok = TableRef::from_word(record.list_next)
            .is_none_or(|next| self.entry(next).list_prev == table.word());
        let before = match TableRef::from_word(record.list_prev) {
            Some(prev) => self.entry(prev).list_next,
            None => frames.record(frame).instances,
        };
        after_ok && before == table.word()
    }

    fn entry(&self, table: TableRef) -> &TableRecord {
        self.record(table.level, table.index)
    }

    fn entry_mut(&mut self, table: TableRef) -> &mut TableRecord {
        self.record_mut(table.level, table.index)
    }

    fn push(&mut self, table: TableRef, next: u32, list: u8) {
        let record = self.entry_mut(table);
        record.listed = list;
        record.list_next = next;
        record.list_prev = 0;
        if let Some(next) = TableRef::from_word(next) {
            self.entry_mut(next).list_prev = table.word();
        }
    }

    fn pull(&mut self, table: TableRef, head: &mut u32) {
        let record = self.entry_mut(table);
        record.listed = 0;
        let (next, prev) = (record.list_next, record.list_prev);
        match TableRef::from_word(prev) {
            Some(prev) => self.entry_mut(prev).list_next = next,
            None => *head = next,
        }
        if let Some(after) = TableRef::from_word(next) {
            self.entry_mut(after).list_prev = prev;
        }
    }
}
