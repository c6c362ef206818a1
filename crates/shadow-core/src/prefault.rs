//! Mapping entries beside the one that faulted.
//!
//! The processor may load a translation whenever its A bits are set, asked or
//! not (SDM vol. 3A, §4.10.2.3), so only entries with A are mapped, and nothing
//! in the guest's tables changes. After a write, entries without D are left to
//! their own fault, since a read-only leaf would not save it.

use x86::{Gfn, Gpa, Gpte, GuestMemory, Gva, Level};

use crate::context::{Access, PagingContext, View};
use crate::copies::Claim;
use crate::frames::{FrameKind, HostMap};
use crate::leaf::{Leaf, Supply};
use crate::mappings::{Result, SpaceId};
use crate::mmu::ShadowMmu;
use crate::request::Ops;
use crate::walk::GuestWalk;

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Maps what may be mapped in the aligned block of entries around `gva`, in
    /// the level-1 instance that `walk` led to.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the parts of one fault")]
    pub(crate) fn prefault_neighbours(
        &mut self,
        cpu: &PagingContext,
        space: SpaceId,
        gva: Gva,
        table: u16,
        access: Access,
        walk: &GuestWalk,
        ops: &mut impl Ops,
    ) -> Result {
        let word = Level::L1.index(gva) / 64;
        let block = self.run.block(gva, &self.policy);
        let mut absent = block & !self.tables.present(Level::L1, table)[word];
        while absent != 0 {
            let slot = word * 64 + absent.trailing_zeros() as usize;
            absent &= absent - 1;
            let gpa = Gpa::new(walk.origins[0].gfn().base().get() | (slot as u64 * 8));
            let entry = Gpte::from_bits_retain(ops.memory().load_u64(gpa).unwrap_or(0));
            let Some(leaf) = self.neighbour(cpu, access, walk, entry) else {
                continue;
            };
            self.note_entry(gpa.gfn(), slot, entry);
            let page = self.tables.va(Level::L1, table).wrapping_add((slot as u64) << 12);
            let place = Claim::new(space, page);
            let mapped = self.map_unasked(place, table, leaf, Supply::Pool, ops)?;
            self.counters.prefault += u64::from(mapped);
        }
        Ok(())
    }

    /// The leaf for a neighbouring `entry` of the page that was walked to.
    fn neighbour(
        &self,
        cpu: &PagingContext,
        access: Access,
        walk: &GuestWalk,
        entry: Gpte,
    ) -> Option<Leaf> {
        let mut wanted = Gpte::PRESENT | Gpte::ACCESSED;
        if access.is_write() {
            wanted |= Gpte::DIRTY | Gpte::WRITABLE;
        }
        if cpu.view() == View::User {
            wanted |= Gpte::USER;
        }
        if !entry.contains(wanted) || entry.is_malformed(Level::L1) {
            return None;
        }
        let gfn: Gfn = entry.gfn(Level::L1);
        let frame = self.frames.number(gfn)?;
        let upper = walk.origins[0].rights();
        let writable = upper.through(entry).contains(crate::origin::Rights::WRITE)
            && entry.contains(Gpte::DIRTY)
            && self.frames.is_freely_writable(frame)
            && self.frames.kind(gfn) == FrameKind::Ram;
        Some(Leaf { frame, writable, write_fault: false })
    }
}
