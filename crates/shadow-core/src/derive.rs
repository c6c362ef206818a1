//! Leaves from the tables as they are now, without a fault (R4).
//!
//! A leaf whose entry was seen to change is dropped, or replaced by what a full walk
//! from the root gives, if the walk passes the very instances above it.

use x86::Level;

use crate::context::View;
use crate::copies::Claim;
use crate::frames::{FrameKind, HostMap};
use crate::leaf::{Leaf, Supply};
use crate::mappings::Result;
use crate::mmu::ShadowMmu;
use crate::origin::{Origin, Rights};
use crate::policy::Defect;
use crate::request::Ops;
use crate::tables::LeafRecord;
use crate::walk::{GuestWalk, peek};

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Maps what a full walk gives for an empty entry of a level-1 instance, if
    /// the whole path is as the walk wants it and all A bits are set; never
    /// writable to a table. `true` if it did.
    pub(crate) fn derive(&mut self, table: u16, slot: usize, ops: &mut impl Ops) -> Result<bool> {
        let space = self.tables.space(Level::L1, table);
        let gva = self.tables.va(Level::L1, table).wrapping_add((slot as u64) << 12);
        match self.walk_to(table, Claim::new(space, gva), ops) {
            Some(walk) => self.map_walked(table, Claim::new(space, gva), &walk, ops),
            None => Ok(false),
        }
    }

    /// What a walk to `place` gives now, if the level-1 instance `table` and all
    /// above it are as it wants them and all A bits are set.
    fn walk_to(&self, table: u16, place: Claim, ops: &impl Ops) -> Option<GuestWalk> {
        let cpu = self.spaces.key(place.space()).context()?;
        peek(ops.memory(), &cpu, place.gva()).filter(|walk| self.path_matches(table, &walk.origins))
    }

    /// Maps what the walk gave at the empty entry of `place`; `true` if it did.
    fn map_walked(
        &mut self,
        table: u16,
        place: Claim,
        walk: &GuestWalk,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let Some(leaf) = self.speculative_leaf(walk) else {
            return Ok(false);
        };
        self.note_used(self.spaces.key(place.space()).root(), place.gva(), walk);
        let mapped = self.map_unasked(place, table, leaf, Supply::AtHand, ops)?;
        self.counters.derive += u64::from(mapped);
        Ok(mapped)
    }

    /// Drops the leaf at `slot` unless a walk gives its frame now; with `derive`
    /// what the walk gives takes its place. `true` if there was one.
    pub(crate) fn refresh_leaf(
        &mut self,
        table: u16,
        slot: usize,
        derive: bool,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let Some(leaf) = self.tables.leaf(table, slot) else {
            return Ok(false);
        };
        let place = self.copies.claim(leaf.copy());
        match self.walk_to(table, place, ops) {
            Some(walk) if walk.gfn.get() == u64::from(self.copies.frame(leaf.copy())) => {
                // The same frame: only rights may have changed.
                let key = self.spaces.key(place.space());
                self.note_used(key.root(), place.gva(), &walk);
                let wp0 = key.view() == Some(View::KernelWp0);
                let may_write = walk.dirty && (wp0 || walk.rights.contains(Rights::WRITE));
                if leaf.is_writable() && !may_write {
                    let read_only = LeafRecord::new(leaf.copy(), false);
                    self.change_rights(table, slot, read_only, ops)?;
                }
            }
            walk => {
                ops.unmap_frame(leaf.copy())?;
                self.copies.set_unclaimed(leaf.copy());
                // Its record is replaced, or else removed, before anybody looks at
                // it; so the tables above are not told that it is gone and back.
                let mapped = match walk.filter(|_| derive) {
                    Some(walk) => self.map_walked(table, place, &walk, ops),
                    None => Ok(false),
                };
                if mapped != Ok(true) {
                    self.tables.remove_leaf(table, slot);
                }
                mapped?;
            }
        }
        Ok(true)
    }

    /// What may be mapped without a demand for it; `None` outside RAM.
    pub(crate) fn speculative_leaf(&self, walk: &GuestWalk) -> Option<Leaf> {
        let frame = self.frames.number(walk.gfn)?;
        let free =
            self.frames.kind(walk.gfn) == FrameKind::Ram && self.frames.is_freely_writable(frame);
        Some(Leaf {
            frame,
            writable: walk.dirty && walk.rights.contains(Rights::WRITE) && free,
            write_fault: false,
        })
    }

    /// Whether a level-1 instance and all above it have these origins.
    pub(crate) fn path_matches(&self, table: u16, origins: &[Origin; 3]) -> bool {
        if self.policy.has(Defect::PathUnchecked) {
            return true;
        }
        let (l1, l2) = (table, self.tables.parent(Level::L1, table));
        let l3 = self.tables.parent(Level::L2, l2);
        self.tables.origin(Level::L1, l1) == origins[0]
            && self.tables.origin(Level::L2, l2) == origins[1]
            && self.tables.origin(Level::L3, l3) == origins[2]
    }
}
