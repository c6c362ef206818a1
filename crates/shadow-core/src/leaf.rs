//! Leaves: mapping one copy of a frame's cap at one page.

use x86::{Gfn, Gva, Level};

use crate::copies::{Choice, Claim, GUARANTEED_COPIES, MAX_COPIES_PER_FRAME};
use crate::mappings::{CopyId, Mappings, Result, SpaceId};
use crate::mmu::ShadowMmu;
use crate::request::{Ops, Request, UNBOUNDED};
use crate::tables::LeafRecord;

/// What a leaf must become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The frame to map, which is RAM.
    pub frame: u32,
    /// Whether the leaf allows writes.
    pub writable: bool,
    /// Whether the faulting access was a write.
    pub write_fault: bool,
}

/// Copies that a mapping may use for which no access has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Those that the frame has and does not use.
    AtHand,
    /// Also one made in a free slot of the pool.
    Pool,
}

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Makes the entry of `gva` in the level-1 table `table` the leaf wanted.
    /// `true` if the entry was recorded as sufficient, and was healed.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        space: SpaceId,
        gva: Gva,
        table: u16,
        leaf: Leaf,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let slot = Level::L1.index(gva);
        let mut healed = false;
        if let Some(old) = self.tables.leaf(table, slot) {
            let same_frame = self.copies.frame(old.copy()) == leaf.frame;
            if same_frame && leaf.write_fault && !old.is_writable() {
                let new = LeafRecord::new(old.copy(), leaf.writable);
                self.change_rights(table, slot, new, ops)?;
                return Ok(false);
            }
            self.drop_leaf(table, slot, ops)?;
            healed = same_frame;
            self.counters.heal += u64::from(healed);
        }
        self.map_leaf(space, gva, table, leaf, ops)?;
        Ok(healed)
    }

    /// Maps a leaf at an entry that is empty.
    #[inline]
    fn map_leaf(
        &mut self,
        space: SpaceId,
        gva: Gva,
        table: u16,
        leaf: Leaf,
        ops: &mut impl Ops,
    ) -> Result {
        let place = Claim::new(space, gva.page_base());
        let choice = self.copies.choose(&self.frames, &self.tables, leaf.frame, place);
        self.map_copy(choice, place, table, leaf, ops)
    }

    /// As [`Self::map_leaf`], with a copy of `supply` or not at all; `true` if it was
    /// mapped.
    #[inline(always)] // sixty instructions less for each neighbour
    pub(crate) fn map_unasked(
        &mut self,
        place: Claim,
        table: u16,
        leaf: Leaf,
        supply: Supply,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let choice = self.copies.choose(&self.frames, &self.tables, leaf.frame, place);
        if choice == Choice::AllLive
            && !(supply == Supply::Pool && self.has_room_for_extra(leaf.frame))
        {
            return Ok(false);
        }
        self.map_copy(choice, place, table, leaf, ops).map(|()| true)
    }

    #[inline(always)] // the fault path and its neighbours
    fn map_copy(
        &mut self,
        choice: Choice,
        place: Claim,
        table: u16,
        leaf: Leaf,
        ops: &mut impl Ops,
    ) -> Result {
        let (space, gva) = (place.space(), place.gva());
        let copy = match choice {
            Choice::Unclaimed(copy) => {
                ops.map_frame(copy, space, gva, leaf.writable)?;
                copy
            }
            Choice::Stale(copy) => {
                ops.map_frame(copy, space, gva, leaf.writable)?;
                self.counters.stale_reuse += 1;
                copy
            }
            Choice::Claiming(copy) => {
                ops.remap_frame(copy, space, gva, leaf.writable)?;
                self.counters.stale_alias += 1;
                copy
            }
            other => self.map_freed_copy(other, place, leaf, ops)?,
        };
        self.copies.set_live(copy, place, table);
        self.tables.insert_leaf(table, Level::L1.index(gva), LeafRecord::new(copy, leaf.writable));
        Ok(())
    }

    /// Maps a copy where none is at hand: the spare is missing, or all are live.
    #[cold]
    fn map_freed_copy(
        &mut self,
        choice: Choice,
        place: Claim,
        leaf: Leaf,
        ops: &mut impl Ops,
    ) -> Result<CopyId> {
        let frame = leaf.frame;
        let doomed = self.doomed_copy(frame).filter(|_| choice == Choice::AllLive);
        let copy = match (choice, doomed) {
            (Choice::Missing(copy), _) => {
                ops.copy_frame(copy, Gfn::new(frame.into()))?;
                self.copies.set_empty(copy, false);
                self.counters.copy += 1;
                copy
            }
            (_, Some(copy)) => copy,
            _ => match self.new_extra(frame, ops)? {
                Some(copy) => copy,
                None => self.evict_own(frame, ops)?,
            },
        };
        ops.map_frame(copy, place.space(), place.gva(), leaf.writable)?;
        if doomed.is_some() {
            // Not before: if the kernel refuses, it still maps it there.
            self.forget_leaf_of(copy);
            self.counters.stale_reuse += 1;
        }
        Ok(copy)
    }

    /// A live copy of `frame` whose leaf goes before anybody can use it.
    fn doomed_copy(&self, frame: u32) -> Option<CopyId> {
        let mut copies = self.copies.of_frame(&self.frames, frame);
        copies.find(|&copy| {
            self.copies.live_slot(&self.tables, copy).is_some()
                && self.tables.is_below_stale(self.copies.table(copy))
        })
    }

    /// Gives frames an extra copy each before the guest runs, while more than
    /// `keep` are left in the pool: kernels map most frames twice, once for
    /// themselves and once for their use, and a fault that finds a copy is cheaper
    /// by a quarter.
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses one; the others are made on demand.
    pub fn stock(&mut self, keep: u32, caps: &mut impl Mappings) -> Result {
        let frames = self.frames.len();
        let spares = self.copies.count().saturating_sub(frames + keep as usize);
        let ops = &mut Request::new(&(), caps, UNBOUNDED);
        for frame in 0..spares.min(frames) as u32 {
            self.new_extra(frame, ops)?;
        }
        Ok(())
    }

    /// Whether `frame` can have another copy at no other's cost.
    fn has_room_for_extra(&self, frame: u32) -> bool {
        self.copies.has_free() && self.frames.record(frame).extra_count + 1 < MAX_COPIES_PER_FRAME
    }

    /// A new extra copy for `frame`, from the pool or from another frame.
    fn new_extra(&mut self, frame: u32, ops: &mut impl Ops) -> Result<Option<CopyId>> {
        let owned = self.frames.record(frame).extra_count + 1;
        if owned >= MAX_COPIES_PER_FRAME {
            return Ok(None);
        }
        let even_live = owned < GUARANTEED_COPIES;
        let slot = match self.copies.take_free() {
            Some(slot) => Some(slot),
            None => self.recycle_extra(frame, even_live, ops)?,
        };
        let Some(copy) = slot else { return Ok(None) };
        if let Err(error) = ops.copy_frame(copy, Gfn::new(frame.into())) {
            self.copies.give_free(copy);
            return Err(error);
        }
        self.copies.add_to_chain(&mut self.frames, frame, copy);
        self.counters.copy += 1;
        Ok(Some(copy))
    }

    /// Empties the slot of an extra copy of another frame; the slot is of no
    /// chain and on no list then.
    fn recycle_extra(
        &mut self,
        frame: u32,
        even_live: bool,
        ops: &mut impl Ops,
    ) -> Result<Option<CopyId>> {
        let Some(victim) = self.copies.pick_victim(&self.tables, frame, even_live) else {
            return Ok(None);
        };
        ops.delete_copy(victim)?;
        self.counters.copy_recycled += 1;
        self.forget_leaf_of(victim);
        self.copies.remove_from_chain(&mut self.frames, victim);
        Ok(Some(victim))
    }

    /// Takes one of the frame's own copies from its place.
    fn evict_own(&mut self, frame: u32, ops: &mut impl Ops) -> Result<CopyId> {
        let copy = self.copies.next_eviction(&mut self.frames, frame);
        ops.unmap_frame(copy)?;
        self.counters.copy_evict += 1;
        self.forget_leaf_of(copy);
        self.copies.set_unclaimed(copy);
        Ok(copy)
    }

    /// Gives the leaf at `slot` the rights of `new`, which names the same copy.
    #[inline]
    pub(crate) fn change_rights(
        &mut self,
        table: u16,
        slot: usize,
        new: LeafRecord,
        ops: &mut impl Ops,
    ) -> Result {
        let place = self.copies.claim(new.copy());
        let (space, gva) = (place.space(), place.gva());
        if self.policy.remap {
            ops.remap_frame(new.copy(), space, gva, new.is_writable())?;
            self.tables.rewrite_leaf(table, slot, new);
            return Ok(());
        }
        self.drop_leaf(table, slot, ops)?;
        ops.map_frame(new.copy(), space, gva, new.is_writable())?;
        self.copies.set_live(new.copy(), place, table);
        self.tables.insert_leaf(table, slot, new);
        Ok(())
    }

    /// Unmaps the leaf at `slot`, if there is one; `true` if there was.
    pub(crate) fn drop_leaf(
        &mut self,
        table: u16,
        slot: usize,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let Some(leaf) = self.tables.leaf(table, slot) else {
            return Ok(false);
        };
        ops.unmap_frame(leaf.copy())?;
        self.tables.remove_leaf(table, slot);
        self.copies.set_unclaimed(leaf.copy());
        Ok(true)
    }

    /// Removes the leaf record of a copy that was unmapped, if it was live.
    pub(crate) fn forget_leaf_of(&mut self, copy: CopyId) {
        if let Some(slot) = self.copies.live_slot(&self.tables, copy) {
            self.tables.remove_leaf(self.copies.table(copy), slot);
        }
    }
}
