//! Instances: shadow tables at their places, checked against walks (R1, R2).
//!
//! An instance is one shadow table at (space, level, address). Leaves are
//! filled only into an instance whose whole path was built from what the walk
//! saw (R1); the highest instance that was not is unlinked with everything
//! below it, or, if no leaf below it is live, simply given the new origin.

use x86::{Gva, Level};

use crate::last_path::LastPath;
use crate::mappings::{MapError, Result, SpaceId, TableId};
use crate::mmu::ShadowMmu;
use crate::origin::Origin;
use crate::policy::Defect;
use crate::request::Ops;
use crate::tables::TableState;

/// Unmaps before a table is dropped instead: one table unmap costs about as
/// much as ten page unmaps.
const LEAVES_UNMAPPED_SINGLY: u16 = 10;

/// Capability operations that emptying a space spends on single leaves and
/// page tables, before it unlinks at the top.
const EMPTYING_BUDGET: u16 = 32;

const BELOW_ROOT: [Level; 3] = [Level::L3, Level::L2, Level::L1];

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// The level-1 instance for `gva`, its path built from `origins` (by level
    /// from 1). `None`: a frame became a table, so walk again.
    #[inline]
    pub(crate) fn instance_for(
        &mut self,
        space: SpaceId,
        gva: Gva,
        origins: &[Origin; 3],
        ops: &mut impl Ops,
    ) -> Result<Option<u16>> {
        let last = &self.last;
        if last.prefix == LastPath::prefix_of(gva)
            && last.space == space
            && last.origins == *origins
        {
            return Ok(Some(last.table));
        }
        let promoted = self.counters.promote;
        self.track_root(space, ops)?;
        let mut parent = space.0;
        for level in BELOW_ROOT {
            parent =
                self.instance_below(space, level, parent, gva, origins[level as usize - 1], ops)?;
        }
        if self.counters.promote != promoted && !self.policy.has(Defect::PromotionTrusted) {
            return Ok(None);
        }
        self.last =
            LastPath { space, prefix: LastPath::prefix_of(gva), origins: *origins, table: parent };
        Ok(Some(parent))
    }

    /// The instance of `level` for `gva` below `parent`, as `origin` wants it.
    fn instance_below(
        &mut self,
        space: SpaceId,
        level: Level,
        parent: u16,
        gva: Gva,
        origin: Origin,
        ops: &mut impl Ops,
    ) -> Result<u16> {
        let above = level.above().unwrap_or(Level::L4);
        if let Some(child) = self.tables.child(above, parent, above.index(gva)) {
            if self.tables.origin(level, child) == origin || self.policy.has(Defect::OriginIgnored)
            {
                return Ok(child);
            }
            if self.tables.used(level, child) == 0 {
                self.counters.retag += 1;
                self.last = LastPath::NONE;
                self.track(origin, ops)?;
                self.tables.set_origin(&mut self.frames, level, child, origin);
                return Ok(child);
            }
            self.drop_subtree(level, child, ops)?;
        }
        self.new_instance(space, level, parent, gva, origin, ops)
    }

    fn new_instance(
        &mut self,
        space: SpaceId,
        level: Level,
        parent: u16,
        gva: Gva,
        origin: Origin,
        ops: &mut impl Ops,
    ) -> Result<u16> {
        let index = self.reserve_table(level, ops)?;
        if let Err(error) = self.track(origin, ops) {
            self.tables.give_free(level, index);
            return Err(error);
        }
        let covers = level.span() << 9;
        let va = Gva::new(gva.get() & !(covers - 1));
        if let Err(error) = ops.map_table(TableId { level, index: index.into() }, space, va) {
            self.tables.give_free(level, index);
            return Err(error);
        }
        self.counters.alloc += 1;
        self.tables.link(level, index, space, parent, va);
        self.tables.set_origin(&mut self.frames, level, index, origin);
        Ok(index)
    }

    /// An unmapped, empty table, off every list. Takes a free one, else
    /// empties a detached one (R2), else takes the next in use, which is never
    /// an ancestor: those have other levels.
    fn reserve_table(&mut self, level: Level, ops: &mut impl Ops) -> Result<u16> {
        if let Some(index) = self.tables.take_free(level) {
            return Ok(index);
        }
        if let Some(index) = self.tables.first_detached(level) {
            if !self.policy.has(Defect::DetachedReused) {
                ops.unmap_table(TableId { level, index: index.into() })?;
            }
            self.tables.clear_detached(level);
        } else {
            let victim = self.tables.next_victim(level);
            self.drop_subtree(level, victim, ops)?;
            self.counters.prealloc_2 += 1;
        }
        self.tables.take_free(level).ok_or(MapError { operation: "shadow table pool", status: 0 })
    }

    /// Unlinks a table and with it everything below, by one unmap. Copies
    /// mapped there become stale claims; tables below become detached.
    pub(crate) fn drop_subtree(&mut self, level: Level, index: u16, ops: &mut impl Ops) -> Result {
        debug_assert_eq!(self.tables.state(level, index), TableState::Linked);
        ops.unmap_table(TableId { level, index: index.into() })?;
        self.counters.drop_subtree += 1;
        self.last = LastPath::NONE;
        self.tables.unlink(&mut self.frames, level, index);
        Ok(())
    }

    /// Drops all leaves of a level-1 table, the cheaper way; gives the number
    /// of capability operations.
    pub(crate) fn empty_table(&mut self, table: u16, ops: &mut impl Ops) -> Result<u16> {
        let live = self.tables.used(Level::L1, table);
        if live > LEAVES_UNMAPPED_SINGLY {
            self.drop_subtree(Level::L1, table, ops)?;
            return Ok(1);
        }
        for slot in self.tables.present_slots(Level::L1, table) {
            self.drop_leaf(table, slot, ops)?;
        }
        Ok(live)
    }

    /// Drops all leaves of a space. Few tables are emptied in place, so that
    /// the skeleton of upper tables stays linked; beyond [`EMPTYING_BUDGET`]
    /// the rest is unlinked at the top.
    pub(crate) fn empty_space(&mut self, space: SpaceId, ops: &mut impl Ops) -> Result {
        let mut budget = EMPTYING_BUDGET;
        for slot in self.tables.present_slots(Level::L4, space.0) {
            let Some(pdpt) = self.tables.child(Level::L4, space.0, slot) else {
                continue;
            };
            self.empty_below(Level::L3, pdpt, &mut budget, ops)?;
            if self.tables.used(Level::L3, pdpt) != 0 {
                self.drop_subtree(Level::L3, pdpt, ops)?;
            }
        }
        debug_assert_eq!(self.tables.used(Level::L4, space.0), 0);
        Ok(())
    }

    /// Empties level-1 tables below an upper table while the budget lasts.
    fn empty_below(
        &mut self,
        level: Level,
        index: u16,
        budget: &mut u16,
        ops: &mut impl Ops,
    ) -> Result {
        let Some(below) = level.below() else {
            return Ok(());
        };
        if self.tables.used(level, index) == 0 {
            return Ok(());
        }
        for slot in self.tables.present_slots(level, index) {
            if *budget == 0 {
                break;
            }
            let Some(child) = self.tables.child(level, index, slot) else {
                continue;
            };
            if below != Level::L1 {
                self.empty_below(below, child, budget, ops)?;
            } else if self.tables.used(below, child) != 0 {
                let spent = self.empty_table(child, ops)?;
                *budget = budget.saturating_sub(spent);
            }
        }
        Ok(())
    }
}
