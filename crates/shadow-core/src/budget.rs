//! A bound on the capability operations of one request.

use x86::{Gfn, Gva};

use crate::mappings::{CopyId, MapError, Mappings, SpaceId, TableId};

/// Capability operations of which some number is left; then each is refused
/// with [`MapError::AGAIN`]. Every request can be repeated after a refusal and
/// goes on where it stood, so the records are its continuation.
pub(crate) struct Budget<'c, C> {
    caps: &'c mut C,
    left: u32,
}

impl<'c, C: Mappings> Budget<'c, C> {
    pub(crate) const fn new(caps: &'c mut C, operations: u32) -> Self {
        Self {
            caps,
            left: operations,
        }
    }

    fn spend(&mut self) -> Result<&mut C, MapError> {
        self.left = self.left.checked_sub(1).ok_or(MapError::AGAIN)?;
        Ok(self.caps)
    }
}

impl<C: Mappings> Mappings for Budget<'_, C> {
    const TOP: u64 = C::TOP;

    fn map_frame(
        &mut self,
        copy: CopyId,
        space: SpaceId,
        gva: Gva,
        writable: bool,
    ) -> Result<(), MapError> {
        self.spend()?.map_frame(copy, space, gva, writable)
    }

    fn remap_frame(
        &mut self,
        copy: CopyId,
        space: SpaceId,
        gva: Gva,
        writable: bool,
    ) -> Result<(), MapError> {
        self.spend()?.remap_frame(copy, space, gva, writable)
    }

    fn unmap_frame(&mut self, copy: CopyId) -> Result<(), MapError> {
        self.spend()?.unmap_frame(copy)
    }

    fn map_table(&mut self, table: TableId, space: SpaceId, gva: Gva) -> Result<(), MapError> {
        self.spend()?.map_table(table, space, gva)
    }

    fn unmap_table(&mut self, table: TableId) -> Result<(), MapError> {
        self.spend()?.unmap_table(table)
    }

    fn copy_frame(&mut self, copy: CopyId, gfn: Gfn) -> Result<(), MapError> {
        self.spend()?.copy_frame(copy, gfn)
    }

    fn delete_copy(&mut self, copy: CopyId) -> Result<(), MapError> {
        self.spend()?.delete_copy(copy)
    }

    fn revoke(&mut self, gfn: Gfn) -> Result<(), MapError> {
        self.spend()?.revoke(gfn)
    }
}
