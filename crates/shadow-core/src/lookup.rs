//! The shadow as a TLB for accesses that a server makes.
//!
//! A leaf of the space in which a vCPU runs is a translation that the vCPU's TLB
//! could hold (T1, S17), so an access on its behalf may use it as the vCPU would.
//! That spares the walk to the instruction that has just trapped, above all.

use x86::{Gpa, Gva, Level};

use crate::context::{Access, PagingContext};
use crate::last_path::LastPath;
use crate::mappings::SpaceId;
use crate::mmu::ShadowMmu;

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Where the space that `cpu` runs in maps `gva`, for an access that its leaf
    /// allows. `None`: ask [`Self::translate`].
    #[inline]
    pub fn mapped(&self, cpu: &PagingContext, gva: Gva, access: Access) -> Option<Gpa> {
        let space = self.spaces.active_for(cpu)?;
        let table = self.linked_table(space, gva)?;
        let leaf = self.tables.leaf(table, Level::L1.index(gva))?;
        if access.is_write() && !leaf.is_writable() {
            return None;
        }
        let frame = u64::from(self.copies.frame(leaf.copy()));
        Some(Gpa::new(frame << 12 | gva.page_offset()))
    }

    /// The level-1 instance that covers `gva`.
    #[inline]
    fn linked_table(&self, space: SpaceId, gva: Gva) -> Option<u16> {
        if self.last.prefix == LastPath::prefix_of(gva) && self.last.space == space {
            return Some(self.last.table);
        }
        // No leaf is above the lower half, and indices do not tell addresses apart.
        if gva.get() >> Level::L4.shift() >= 256 {
            return None;
        }
        let pdpt = self.tables.child(Level::L4, space.0, Level::L4.index(gva))?;
        let pd = self.tables.child(Level::L3, pdpt, Level::L3.index(gva))?;
        self.tables.child(Level::L2, pd, Level::L2.index(gva))
    }
}
