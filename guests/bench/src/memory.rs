//! The guest's RAM, and page tables that map all of it with 4 KiB pages.
#![allow(unsafe_code)] // CR3

use guest_runtime::instruction::write_cr3;
use guest_runtime::{BootInfo, Page, bits, unused_ram};

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Entries in a table.
pub const ENTRIES: u64 = 512;
/// RAM that the guest uses, and maps one to one.
const RAM: u64 = 32 << 20;
/// Bytes that one level-1 table maps.
const TABLE_SPAN: u64 = PAGE * ENTRIES;
/// Entry of the level-3 table for everything that is not RAM: 1 GiB on.
pub const WINDOWS: u64 = 1;

/// Physically contiguous pages.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Address of the first.
    pub start: u64,
    /// How many.
    pub count: u64,
}

impl Frames {
    /// Frame number `index`, counted round.
    pub fn page(self, index: u64) -> Page {
        Page::at(self.start + index % self.count * PAGE)
    }
}

/// Unused RAM, and the tables of the space in use.
#[derive(Debug)]
pub struct Memory {
    next: u64,
    end: u64,
    root: Page,
    /// The level-2 table that maps RAM, shared by all spaces.
    ram: Page,
    /// The level-2 table of the windows of the first space.
    pub windows: Page,
}

impl Memory {
    /// Takes the RAM behind the image, builds tables and loads them.
    pub fn take(boot: &BootInfo) -> Self {
        let unused = unused_ram(boot);
        let none = Page::at(0);
        let mut memory = Self {
            next: unused.start,
            end: unused.end.min(RAM),
            root: none,
            ram: none,
            windows: none,
        };
        memory.ram = memory.page();
        for table in 0..RAM / TABLE_SPAN {
            let entries = memory.page();
            for index in 0..ENTRIES {
                entries.write(index, to(table * TABLE_SPAN + index * PAGE));
            }
            memory.ram.write(table, to(entries.address()));
        }
        memory.windows = memory.page();
        memory.root = memory.space(memory.windows);
        memory.enter(memory.root);
        memory
    }

    /// Takes `count` unused pages, filled with zeros.
    ///
    /// # Panics
    /// If there are not so many left.
    pub fn frames(&mut self, count: u64) -> Frames {
        let start = self.next;
        assert!(start + count * PAGE <= self.end, "out of memory");
        self.next += count * PAGE;
        for page in (0..count).map(|index| Page::at(start + index * PAGE)) {
            (0..ENTRIES).for_each(|index| page.write(index, 0));
        }
        Frames { start, count }
    }

    /// Takes one unused page, filled with zeros.
    pub fn page(&mut self) -> Page {
        self.frames(1).page(0)
    }

    /// A space that maps RAM, and the windows of the level-2 table `windows`.
    pub fn space(&mut self, windows: Page) -> Page {
        let (root, level_3) = (self.page(), self.page());
        root.write(0, to(level_3.address()) | bits::USER);
        level_3.write(0, self.ram_entry());
        level_3.write(WINDOWS, to(windows.address()) | bits::USER);
        root
    }

    /// The level-3 entry that maps RAM.
    pub fn ram_entry(&self) -> u64 {
        to(self.ram.address())
    }

    /// The level-4 table in use.
    pub fn root(&self) -> Page {
        self.root
    }

    /// Loads CR3 with `root`, a space of this memory.
    pub fn enter(&self, root: Page) {
        // SAFETY: every space maps RAM alike, where the guest is.
        unsafe { write_cr3(root.address()) };
    }
}

/// An entry that leads to `address`, writable.
pub fn to(address: u64) -> u64 {
    address | bits::PRESENT | bits::WRITABLE
}
