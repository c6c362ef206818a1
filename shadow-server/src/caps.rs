//! Capability operations of the shadow MMU, carried out on seL4.
//!
//! Slots come from [`ServerSlots`]; shadow-core numbers objects from 0 in each
//! pool, and never names one beyond it.

use sel4::{AbsoluteCPtr, CPtr, CapRights, Error, TranslationTable, VmAttributes, cap};
use shadow_core::{CopyId, MapError, Mappings, SpaceId, TableId};
use system::cspace::{self, Pools, ServerSlots};
use x86::{Gfn, Gva, Level};

use protocol::counters::Server;

/// The server's capabilities to paging objects and frames.
pub struct Caps {
    slots: ServerSlots,
}

impl Caps {
    /// The capabilities that the builder placed for `pools`.
    pub const fn new(pools: &Pools) -> Self {
        let slots = ServerSlots::new(pools);
        Self { slots }
    }

    /// The layout.
    pub const fn slots(&self) -> &ServerSlots {
        &self.slots
    }

    /// The root of a shadow address space.
    pub const fn space(&self, space: SpaceId) -> cap::VSpace {
        cap::VSpace::from_bits(self.slots.spaces.first + space.index() as u64)
    }

    /// Slot `slot` of the server's own CNode.
    pub const fn place(&self, slot: u64) -> AbsoluteCPtr {
        const OWN: cap::CNode = cap::CNode::from_bits(cspace::process::OWN_CNODE);
        OWN.absolute_cptr_from_bits_with_depth(slot, 64)
    }

    /// Copies follow each other: first each frame's own, then the extra ones.
    const fn copy(&self, copy: CopyId) -> cap::Granule {
        cap::Granule::from_bits(self.slots.copies.first + copy.index() as u64)
    }

    fn original(&self, gfn: Gfn) -> AbsoluteCPtr {
        self.place(self.slots.originals.first + gfn.get())
    }

    fn table(&self, table: TableId) -> (cap::Unspecified, TranslationTable) {
        let (pool, kind) = match table.level {
            Level::L1 => (self.slots.pts, TranslationTable::PageTable),
            Level::L2 => (self.slots.pds, TranslationTable::PageDirectory),
            Level::L3 | Level::L4 => (self.slots.pdpts, TranslationTable::Pdpt),
        };
        (CPtr::from_bits(pool.first + table.index as u64).cast(), kind)
    }
}

/// Counts an operation, and names one that was refused.
#[inline]
fn named(result: sel4::Result<()>, operation: &'static str) -> Result<(), MapError> {
    process::count(Server::Invocations);
    result.map_err(|error| {
        process::count(Server::FailedInvocations);
        MapError { operation, status: error as u32 }
    })
}

const fn rights(writable: bool) -> CapRights {
    if writable { CapRights::read_write() } else { CapRights::read_only() }
}

#[cold]
fn unmap_and_map(
    frame: cap::Granule,
    root: cap::VSpace,
    gva: usize,
    writable: bool,
) -> Result<(), MapError> {
    named(frame.frame_unmap(), "frame_unmap")?;
    named(frame.frame_map(root, gva, rights(writable), VmAttributes::DEFAULT), "frame_map")
}

impl Mappings for Caps {
    #[inline]
    fn map_frame(
        &mut self,
        copy: CopyId,
        space: SpaceId,
        gva: Gva,
        writable: bool,
    ) -> Result<(), MapError> {
        let (frame, root, address) = (self.copy(copy), self.space(space), gva.get() as usize);
        let result = frame.frame_map(root, address, rights(writable), VmAttributes::DEFAULT);
        match result {
            // Without kernel edit E12, stale copies do not move.
            Err(Error::InvalidCapability) => unmap_and_map(frame, root, address, writable),
            result => named(result, "frame_map"),
        }
    }

    fn remap_frame(
        &mut self,
        copy: CopyId,
        space: SpaceId,
        gva: Gva,
        writable: bool,
    ) -> Result<(), MapError> {
        let (frame, root, address) = (self.copy(copy), self.space(space), gva.get() as usize);
        let result = frame.frame_remap(root, address, rights(writable), VmAttributes::DEFAULT);
        named(result, "frame_remap")
    }

    fn unmap_frame(&mut self, copy: CopyId) -> Result<(), MapError> {
        named(self.copy(copy).frame_unmap(), "frame_unmap")
    }

    fn map_table(&mut self, table: TableId, space: SpaceId, gva: Gva) -> Result<(), MapError> {
        let (cap, kind) = self.table(table);
        let (root, address) = (self.space(space), gva.get() as usize);
        let result = cap.translation_table_map(kind, root, address, VmAttributes::DEFAULT);
        named(result, "table_map")
    }

    fn unmap_table(&mut self, table: TableId) -> Result<(), MapError> {
        let (cap, kind) = self.table(table);
        named(cap.translation_table_unmap(kind), "table_unmap")
    }

    fn copy_frame(&mut self, copy: CopyId, gfn: Gfn) -> Result<(), MapError> {
        let slot = self.place(self.copy(copy).bits());
        named(slot.copy(&self.original(gfn), CapRights::all()), "copy of a frame")
    }

    fn delete_copy(&mut self, copy: CopyId) -> Result<(), MapError> {
        named(self.place(self.copy(copy).bits()).delete(), "delete of a frame copy")
    }

    fn revoke(&mut self, gfn: Gfn) -> Result<(), MapError> {
        named(self.original(gfn).revoke(), "revocation of a frame")
    }
}
