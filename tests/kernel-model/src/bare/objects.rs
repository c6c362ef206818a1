//! The objects that operations name, and what probing them needs.
//!
//! Objects are made and never returned. A failure to make one is a fault of
//! this program, not a finding about the kernel: it panics.

use kernel_model::{FRAMES, SLOTS, SPACES, TABLES};
use sel4::{
    AbsoluteCPtr, BootInfoPtr, CPtr, Cap, CapRights, CapType, ObjectBlueprint, TranslationTable,
    VmAttributes, cap, init_thread,
};

/// Least size of the untyped object that is used up. A small one, because the
/// first retype clears all of it.
const UNTYPED_BITS: usize = 20;

/// Where frames are mapped in the root task: 2 MiB far from its image, covered
/// by one page table.
pub const AREA: usize = 0x10_0000_0000;

/// Bytes in a page.
const PAGE: usize = 4096;

/// The levels of tables, from 1.
const LEVELS: [TranslationTable; 3] =
    [TranslationTable::PageTable, TranslationTable::PageDirectory, TranslationTable::Pdpt];

/// All objects.
pub struct Objects {
    untyped: cap::Untyped,
    next_slot: usize,
    next_page: usize,
    /// The frames' original capabilities.
    pub frames: [cap::Granule; FRAMES],
    /// The address spaces.
    pub spaces: [cap::VSpace; SPACES],
    /// First slot of the copies.
    copies: usize,
    /// First slots of the tables by level, from 1.
    tables: [usize; 3],
}

impl Objects {
    /// Makes the objects that operations name, and copies every frame's
    /// capability into the slot of its number.
    pub fn new(bootinfo: &BootInfoPtr) -> Objects {
        let (index, _) = bootinfo
            .untyped_list()
            .enumerate()
            .filter(|(_, untyped)| !untyped.is_device() && untyped.size_bits() >= UNTYPED_BITS)
            .min_by_key(|(_, untyped)| untyped.size_bits())
            .expect("an untyped object of 1 MiB");
        let slot = bootinfo.untyped().start + index;
        let mut objects = Objects {
            untyped: cap::Untyped::from_bits(slot as u64),
            next_slot: bootinfo.empty().start,
            next_page: AREA,
            frames: [Cap::from_bits(0); FRAMES],
            spaces: [Cap::from_bits(0); SPACES],
            copies: 0,
            tables: [0; 3],
        };
        objects.link_tables(init_thread::slot::VSPACE, AREA, 2);
        for number in 0..FRAMES {
            objects.frames[number] = objects.frame_beginning_with(&[number as u8 + 1]);
        }
        for number in 0..SPACES {
            objects.spaces[number] = objects.make(ObjectBlueprint::PML4);
            init_thread::slot::ASID_POOL
                .asid_pool_assign(objects.spaces[number])
                .expect("an address space");
        }
        for (index, count) in TABLES.into_iter().enumerate() {
            objects.tables[index] = objects.next_slot;
            for _ in 0..count {
                objects.make_table(index);
            }
        }
        objects.copies = objects.next_slot;
        objects.next_slot += SLOTS;
        for number in 0..FRAMES {
            objects.copy_frame(number, number).expect("a spare copy");
        }
        objects
    }

    /// Makes an object.
    pub fn make<T: CapType>(&mut self, blueprint: ObjectBlueprint) -> Cap<T> {
        let slot = self.next_slot;
        self.next_slot += 1;
        let root = init_thread::slot::CNODE.absolute_cptr_for_self();
        self.untyped.untyped_retype(&blueprint, &root, slot, 1).expect("an object");
        Cap::from_bits(slot as u64)
    }

    fn make_table(&mut self, index: usize) -> cap::Unspecified {
        self.make(match LEVELS[index] {
            TranslationTable::PageTable => ObjectBlueprint::PageTable,
            TranslationTable::PageDirectory => ObjectBlueprint::PageDirectory,
            TranslationTable::Pdpt => ObjectBlueprint::PDPT,
        })
    }

    /// Makes the tables of the first `levels` levels for `address`, and links
    /// them.
    pub fn link_tables(&mut self, space: cap::VSpace, address: usize, levels: usize) {
        for index in (0..levels).rev() {
            self.make_table(index)
                .translation_table_map(LEVELS[index], space, address, VmAttributes::DEFAULT)
                .expect("a table");
        }
    }

    /// Makes a frame whose first bytes are `bytes`.
    #[allow(unsafe_code, reason = "writes a page that it has mapped itself")]
    pub fn frame_beginning_with(&mut self, bytes: &[u8]) -> cap::Granule {
        let frame: cap::Granule = self.make(ObjectBlueprint::_4k);
        let address = self.next_page;
        self.next_page += PAGE;
        let (rights, attributes) = (CapRights::read_write(), VmAttributes::DEFAULT);
        frame
            .frame_map(init_thread::slot::VSPACE, address, rights, attributes)
            .expect("a mapping in the area");
        for (offset, byte) in bytes.iter().enumerate().take(PAGE) {
            // SAFETY: within the page just mapped, which nothing else refers to.
            unsafe { (address as *mut u8).add(offset).write_volatile(*byte) };
        }
        frame
    }

    /// Copies a frame's capability into a new slot.
    pub fn another(&mut self, frame: cap::Granule) -> cap::Granule {
        let slot = CPtr::from_bits(self.next_slot as u64);
        self.next_slot += 1;
        self.path(slot).copy(&self.path(frame.cptr()), CapRights::all()).expect("a copy");
        slot.cast()
    }

    /// The path of a slot.
    pub fn path(&self, slot: CPtr) -> AbsoluteCPtr {
        init_thread::slot::CNODE.absolute_cptr(slot)
    }

    /// Slot `number` of the copies.
    pub fn copy(&self, number: usize) -> cap::Granule {
        cap::Granule::from_bits((self.copies + number) as u64)
    }

    /// Copies the capability of `frame` into slot `number` of the copies.
    pub fn copy_frame(&self, number: usize, frame: usize) -> sel4::Result<()> {
        let original = self.path(self.frames[frame].cptr());
        self.path(self.copy(number).cptr()).copy(&original, CapRights::all())
    }

    /// Table `number` of `level`, from 1.
    pub fn table(&self, level: u8, number: usize) -> (cap::Unspecified, TranslationTable) {
        let index = usize::from(level) - 1;
        let slot = self.tables[index] + number;
        (cap::Unspecified::from_bits(slot as u64), LEVELS[index])
    }
}
