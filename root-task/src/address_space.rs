//! Address spaces of processes, and the root task's own scratch page.

use sel4::{CapRights, ObjectBlueprint, TranslationTable, VmAttributes, cap, init_thread};

use crate::cspace::CSpace;
use crate::error::{BuildError, Named};
use crate::memory::Memory;

/// What building takes from: memory and slots.
pub struct Stores {
    /// Untyped memory.
    pub memory: Memory,
    /// Slots.
    pub cspace: CSpace,
}

impl Stores {
    /// Makes one object in a slot of the root task's.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots are used up.
    pub fn make(&mut self, blueprint: &ObjectBlueprint) -> Result<sel4::CPtr, BuildError> {
        self.cspace.make(blueprint, &mut self.memory)
    }
}

/// An address space under construction.
#[derive(Clone, Copy)]
pub struct AddressSpace {
    /// Its root.
    pub root: cap::VSpace,
}

impl AddressSpace {
    /// A new, empty address space.
    ///
    /// # Errors
    /// [`BuildError`] if memory, slots or address space identifiers run out.
    pub fn new(stores: &mut Stores) -> Result<Self, BuildError> {
        let root = stores.make(&ObjectBlueprint::PML4)?.cast();
        init_thread::slot::ASID_POOL
            .asid_pool_assign(root)
            .named("assignment of an address space identifier")?;
        Ok(Self { root })
    }

    /// The root task's own.
    pub fn own() -> Self {
        Self { root: init_thread::slot::VSPACE }
    }

    /// Maps `frame` at `address`, with whatever tables that takes.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out, or something is mapped there.
    pub fn map(
        &self,
        frame: cap::Granule,
        address: u64,
        rights: CapRights,
        stores: &mut Stores,
    ) -> Result<(), BuildError> {
        match frame.frame_map(self.root, address as usize, rights, VmAttributes::default()) {
            Err(sel4::Error::FailedLookup) => {
                self.add_table(TranslationTable::PageTable, address, stores)?;
            }
            result => return result.named("mapping of a frame"),
        }
        frame
            .frame_map(self.root, address as usize, rights, VmAttributes::default())
            .named("mapping of a frame")
    }

    /// Adds a table of `kind` for `address`, and first the ones above it that
    /// are missing.
    fn add_table(
        &self,
        kind: TranslationTable,
        address: u64,
        stores: &mut Stores,
    ) -> Result<(), BuildError> {
        let table: cap::Unspecified = stores.make(&kind.blueprint())?.cast();
        let map = || {
            table.translation_table_map(kind, self.root, address as usize, VmAttributes::default())
        };
        match (map(), above(kind)) {
            (Err(sel4::Error::FailedLookup), Some(above)) => {
                self.add_table(above, address, stores)?;
                map()
            }
            (result, _) => result,
        }
        .named("mapping of a table")
    }
}

const fn above(kind: TranslationTable) -> Option<TranslationTable> {
    match kind {
        TranslationTable::PageTable => Some(TranslationTable::PageDirectory),
        TranslationTable::PageDirectory => Some(TranslationTable::Pdpt),
        TranslationTable::Pdpt => None,
    }
}
