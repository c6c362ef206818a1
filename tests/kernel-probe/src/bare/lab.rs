//! Objects and addresses for probes.
//!
//! Probes run once each and the machine is switched off afterwards, so objects
//! are made and never returned. A failure to make one is a fault of the probe,
//! not a finding about the kernel: it panics.

use sel4::{
    BootInfoPtr, CPtr, Cap, CapRights, CapType, ObjectBlueprint, VmAttributes, cap, init_thread,
};

/// Least size of the untyped object that is used up. A small one, because the
/// first retype clears all of it.
const UNTYPED_BITS: usize = 20;

/// Where frames of the lab are mapped: 2 MiB of the root task's address space,
/// far from its image, covered by one page table.
const AREA: usize = 0x10_0000_0000;

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// Untyped memory, slots and addresses that nothing uses yet.
pub struct Lab {
    untyped: cap::Untyped,
    next_slot: usize,
    next_page: usize,
    /// Where the subjects' faults arrive.
    pub faults: cap::Endpoint,
}

impl Lab {
    /// Prepares the endpoint and the page table of the area.
    pub fn new(bootinfo: &BootInfoPtr) -> Lab {
        let (index, _) = bootinfo
            .untyped_list()
            .enumerate()
            .filter(|(_, untyped)| !untyped.is_device() && untyped.size_bits() >= UNTYPED_BITS)
            .min_by_key(|(_, untyped)| untyped.size_bits())
            .expect("an untyped object of 1 MiB");
        let slot = bootinfo.untyped().start + index;
        let mut lab = Lab {
            untyped: cap::Untyped::from_bits(slot as u64),
            next_slot: bootinfo.empty().start,
            next_page: AREA,
            faults: cap::Endpoint::from_bits(0),
        };
        lab.faults = lab.make(ObjectBlueprint::Endpoint);
        let directory: cap::PageDirectory = lab.make(ObjectBlueprint::PageDirectory);
        let table: cap::PageTable = lab.make(ObjectBlueprint::PageTable);
        directory
            .page_directory_map(init_thread::slot::VSPACE, AREA, VmAttributes::DEFAULT)
            .expect("page directory");
        table
            .page_table_map(init_thread::slot::VSPACE, AREA, VmAttributes::DEFAULT)
            .expect("page table");
        lab
    }

    /// Takes an empty slot of the root CNode.
    pub fn slot(&mut self) -> CPtr {
        let slot = self.next_slot;
        self.next_slot += 1;
        CPtr::from_bits(slot as u64)
    }

    /// Makes an object.
    pub fn make<T: CapType>(&mut self, blueprint: ObjectBlueprint) -> Cap<T> {
        let slot = self.slot();
        let root = init_thread::slot::CNODE.absolute_cptr_for_self();
        self.untyped
            .untyped_retype(&blueprint, &root, slot.bits() as usize, 1)
            .expect("an object of the lab");
        slot.cast()
    }

    /// Capability pointer of the untyped object and the slot that it fills next,
    /// for a probe that makes the system call itself.
    pub fn untyped(&self) -> cap::Untyped {
        self.untyped
    }

    /// Copies a capability into a new slot.
    pub fn copy<T: CapType>(&mut self, original: Cap<T>) -> Cap<T> {
        let slot = self.slot();
        let root = init_thread::slot::CNODE;
        root.absolute_cptr(slot)
            .copy(&root.absolute_cptr(original.cptr()), CapRights::all())
            .expect("a copy of a capability");
        slot.cast()
    }

    /// Takes an address of the area with a page to map.
    pub fn address(&mut self) -> usize {
        let page = self.next_page;
        self.next_page += PAGE;
        page
    }

    /// Maps a frame, readable and writable, at a new address of the area.
    pub fn map(&mut self, frame: cap::Granule) -> usize {
        let address = self.address();
        frame
            .frame_map(
                init_thread::slot::VSPACE,
                address,
                CapRights::read_write(),
                VmAttributes::DEFAULT,
            )
            .expect("a mapping in the area");
        address
    }
}
