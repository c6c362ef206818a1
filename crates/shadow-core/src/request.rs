//! What one request works with: guest memory, capability operations, and a
//! bound on the number of these.

use x86::{Gfn, GuestMemory, Gva};

use crate::mappings::{CopyId, MapError, Mappings, Result, SpaceId, TableId};

/// The bound of requests that are short by what they ask for.
pub(crate) const UNBOUNDED: u32 = u32::MAX;

/// What stands behind the shadow MMU during a request.
pub(crate) trait Ops: Mappings {
    /// The guest's memory.
    fn memory(&self) -> &impl GuestMemory;

    /// Sets how many operations are left; the answer is how many were.
    fn bound(&mut self, operations: u32) -> u32;
}

/// Guest memory, and capability operations of which some number is left; then
/// each is refused with [`MapError::AGAIN`]. Every request can be repeated after
/// a refusal and goes on where it stood, so the records are its continuation.
pub(crate) struct Request<'r, M, C> {
    memory: &'r M,
    caps: &'r mut C,
    left: u32,
}

impl<'r, M, C: Mappings> Request<'r, M, C> {
    pub(crate) const fn new(memory: &'r M, caps: &'r mut C, operations: u32) -> Self {
        Self { memory, caps, left: operations }
    }

    #[inline]
    fn spend(&mut self) -> Result<&mut C> {
        self.left = self.left.checked_sub(1).ok_or(MapError::AGAIN)?;
        Ok(self.caps)
    }
}

impl<M: GuestMemory, C: Mappings> Ops for Request<'_, M, C> {
    #[inline]
    fn memory(&self) -> &impl GuestMemory {
        self.memory
    }

    fn bound(&mut self, operations: u32) -> u32 {
        core::mem::replace(&mut self.left, operations)
    }
}

impl<M, C: Mappings> Mappings for Request<'_, M, C> {
    const TOP: u64 = C::TOP;

    #[inline]
    fn map_frame(&mut self, copy: CopyId, space: SpaceId, gva: Gva, writable: bool) -> Result {
        self.spend()?.map_frame(copy, space, gva, writable)
    }

    #[inline]
    fn remap_frame(&mut self, copy: CopyId, space: SpaceId, gva: Gva, writable: bool) -> Result {
        self.spend()?.remap_frame(copy, space, gva, writable)
    }

    #[inline]
    fn unmap_frame(&mut self, copy: CopyId) -> Result {
        self.spend()?.unmap_frame(copy)
    }

    fn map_table(&mut self, table: TableId, space: SpaceId, gva: Gva) -> Result {
        self.spend()?.map_table(table, space, gva)
    }

    fn unmap_table(&mut self, table: TableId) -> Result {
        self.spend()?.unmap_table(table)
    }

    #[inline]
    fn copy_frame(&mut self, copy: CopyId, gfn: Gfn) -> Result {
        self.spend()?.copy_frame(copy, gfn)
    }

    fn delete_copy(&mut self, copy: CopyId) -> Result {
        self.spend()?.delete_copy(copy)
    }

    fn revoke(&mut self, gfn: Gfn) -> Result {
        self.spend()?.revoke(gfn)
    }
}
