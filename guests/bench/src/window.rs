//! Virtual addresses for one row, with level-1 tables of their own.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use guest_runtime::{Page, bits};

use crate::memory::{ENTRIES, Frames, Memory, PAGE, WINDOWS, to};

/// Virtual addresses of the windows; the first 1 GiB is for RAM.
const START: u64 = WINDOWS << 30;

/// Pages from some virtual address on, whose entries follow each other in
/// memory.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    address: u64,
    pages: u64,
    tables: Frames,
}

impl Window {
    /// A window of `pages` that are not present, from entry `slot` of the
    /// level-2 table `windows` on.
    pub fn new(memory: &mut Memory, windows: Page, slot: u64, pages: u64) -> Self {
        let tables = memory.frames(pages.div_ceil(ENTRIES));
        let window = Self { address: START + slot * ENTRIES * PAGE, pages, tables };
        for table in 0..tables.count {
            let entry = to(tables.page(table).address()) | bits::USER;
            windows.write(slot + table, entry);
        }
        window
    }

    /// Its first address.
    pub fn address(self) -> u64 {
        self.address
    }

    /// How many pages it has.
    pub fn pages(self) -> u64 {
        self.pages
    }

    /// Physical address of its first entry.
    pub fn entries(self) -> u64 {
        self.tables.start
    }

    /// The entry of page `index`.
    pub fn entry(self, index: u64) -> u64 {
        self.tables.page(index / ENTRIES).read(index)
    }

    /// Sets the entry of page `index`.
    pub fn set_entry(self, index: u64, entry: u64) {
        self.tables.page(index / ENTRIES).write(index, entry);
    }

    /// Points every entry to its frame of `frames`, with `rights`.
    pub fn point_to(self, frames: Frames, rights: u64) {
        for index in 0..self.pages {
            self.set_entry(index, frames.page(index).address() | rights);
        }
    }

    /// Whether every entry has exactly the bits `wanted` of those in `mask`.
    pub fn all_have(self, mask: u64, wanted: u64) -> bool {
        (0..self.pages).all(|index| self.entry(index) & mask == wanted)
    }
}

impl Window {
    /// Writes its number to the first word of every page, in order: five
    /// instructions a page.
    #[inline(always)]
    pub fn write_numbers(self) {
        // SAFETY: windows map data frames only, in which no Rust object lies;
        // faults are the handler's.
        unsafe {
            asm!("2: mov [{at}], {n}", "add {at}, 4096", "inc {n}", "cmp {n}, {pages}", "jne 2b",
                at = inout(reg) self.address => _,
                n = inout(reg) 0_u64 => _,
                pages = in(reg) self.pages);
        }
    }
}

impl Window {
    /// The window that begins at the first entry of the level-2 table, with
    /// the level-1 table `table`.
    pub fn of_table(table: Page, pages: u64) -> Self {
        Self { address: START, pages, tables: Frames { start: table.address(), count: 1 } }
    }

    /// Reads the first word of every page.
    pub fn read_all(self) {
        // SAFETY: as in `write_numbers`.
        unsafe {
            asm!("2: mov rax, [{at}]", "add {at}, 4096", "cmp {at}, {end}", "jne 2b",
                at = inout(reg) self.address => _,
                end = in(reg) self.address + self.pages * PAGE,
                out("rax") _);
        }
    }
}
