//! Physical pages, and page tables built from them.
//!
//! A guest that wants tables of its own makes one [`Memory`], which owns the
//! RAM between the image's end and the end of the region that holds it. The
//! tables map the first 4 GiB one to one, so a physical address is a pointer.
#![allow(unsafe_code)] // page tables, and RAM that only this module hands out

use core::ops::Range;

use crate::bits::{ADDRESS, LARGE, PRESENT, USER, WRITABLE};
use crate::instruction::{invalidate_page, write_cr3};
use crate::{BootInfo, RegionKind};

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;
const ENTRIES: u64 = 512;
const LARGE_PAGE: u64 = 0x20_0000;

// SAFETY: a symbol without storage. Only its address is taken, so that its type
// does not matter.
unsafe extern "C" {
    /// Set by the linker script: the first page behind the image.
    static guest_image_end: u8;
}

/// The RAM from the image's end to the end of the region that holds it; none if no
/// region does.
pub fn unused_ram(boot: &BootInfo) -> Range<u64> {
    let start = &raw const guest_image_end as u64;
    let usable = boot.regions().iter().filter(|region| region.kind == RegionKind::Usable);
    let home = usable
        .map(|region| region.start..region.start.saturating_add(region.length))
        .find(|region| region.contains(&start));
    start..home.map_or(start, |region| region.end)
}

/// A physical page that the guest owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(u64);

impl Page {
    /// The page at `address`, which must be one that [`Memory`] gave out, or
    /// part of the image.
    ///
    /// # Panics
    /// If `address` is not page-aligned, or not below 4 GiB, where memory is
    /// mapped one to one.
    pub fn at(address: u64) -> Self {
        assert!(address.is_multiple_of(PAGE_SIZE) && address < 1 << 32);
        Self(address)
    }

    /// Its physical address, which is also a virtual one.
    pub const fn address(self) -> u64 {
        self.0
    }

    /// Reads the 8 bytes at word `index`.
    pub fn read(self, index: u64) -> u64 {
        // SAFETY: the page was handed out by `Memory` and is identity mapped.
        unsafe { word(self.0, index).read_volatile() }
    }

    /// Writes the 8 bytes at word `index`.
    pub fn write(self, index: u64, value: u64) {
        // SAFETY: as in `read`.
        unsafe { word(self.0, index).write_volatile(value) }
    }
}

/// A page as seen at some virtual address, mapped or not: an access may fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View(u64);

impl View {
    /// The page at virtual address `address`.
    ///
    /// # Panics
    /// If `address` is not page-aligned, or below 4 GiB: nothing that Rust
    /// itself uses lies above.
    pub fn at(address: u64) -> Self {
        assert!(address.is_multiple_of(PAGE_SIZE) && address >= 1 << 32);
        Self(address)
    }

    /// Reads the 8 bytes at word `index`.
    pub fn read(self, index: u64) -> u64 {
        // SAFETY: no Rust object lies in this page; a fault goes to the handler.
        unsafe { word(self.0, index).read_volatile() }
    }

    /// Writes the 8 bytes at word `index`.
    pub fn write(self, index: u64, value: u64) {
        // SAFETY: as in `read`; the guest maps there only pages of its own.
        unsafe { word(self.0, index).write_volatile(value) }
    }
}

/// The 8 bytes at word `index` of the page at `address`, counted round.
fn word(address: u64, index: u64) -> *mut u64 {
    (address + (index % ENTRIES) * 8) as *mut u64
}

/// An address space, by its level-4 table, which maps the first 4 GiB one to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space(Page);

impl Space {
    /// What CR3 holds in it.
    pub const fn root(self) -> u64 {
        self.0.0
    }
}

/// The guest's unused RAM and its page tables.
#[derive(Debug)]
pub struct Memory {
    next: u64,
    end: u64,
    space: Space,
}

impl Memory {
    /// Takes the RAM behind the image, builds tables that map the first 4 GiB
    /// one to one with 2 MiB pages, and loads them. At most one may be made.
    pub fn take(boot: &BootInfo) -> Self {
        let Range { start, end } = unused_ram(boot);
        let mut memory = Self { next: start, end, space: Space(Page(0)) };
        memory.space = Space(memory.page());
        for large in 0..4 * ENTRIES {
            let address = large * LARGE_PAGE;
            let table = memory.table(address, 2);
            table.write(address / LARGE_PAGE % ENTRIES, address | LARGE | WRITABLE | PRESENT);
        }
        memory.enter(memory.space);
        memory
    }

    /// Takes an unused page and fills it with zeros.
    ///
    /// # Panics
    /// If there is none left.
    pub fn page(&mut self) -> Page {
        assert!(self.next + PAGE_SIZE <= self.end, "out of memory");
        let page = Page(self.next);
        self.next += PAGE_SIZE;
        for index in 0..ENTRIES {
            page.write(index, 0);
        }
        page
    }

    /// Sets the level-1 entry of `address` to `entry` and invalidates it.
    /// Gives the entry as it was.
    pub fn set_entry(&mut self, address: u64, entry: u64) -> u64 {
        let (table, index) = self.leaf(address);
        let old = table.read(index);
        table.write(index, entry);
        invalidate_page(address);
        old
    }

    /// The level-1 table of `address`, made if need be, and the index in it.
    pub fn leaf(&mut self, address: u64) -> (Page, u64) {
        (self.table(address, 1), address / PAGE_SIZE % ENTRIES)
    }

    /// Maps `address` to `page`, writable or not. Gives the entry as it was.
    pub fn map(&mut self, address: u64, page: Page, writable: bool) -> u64 {
        let rights = if writable { WRITABLE | PRESENT } else { PRESENT };
        self.set_entry(address, page.address() | rights)
    }

    /// Maps the 2 MiB at `address` to those at `physical` with one entry.
    pub fn map_large(&mut self, address: u64, physical: u64) {
        let table = self.table(address, 2);
        table.write(address / LARGE_PAGE % ENTRIES, physical | LARGE | WRITABLE | PRESENT);
        invalidate_page(address);
    }

    /// Makes `table` the level-1 table of the 2 MiB at `address`, which may be that
    /// of other addresses too.
    pub fn link(&mut self, address: u64, table: Page) {
        let above = self.table(address, 2);
        above.write(address / LARGE_PAGE % ENTRIES, table.address() | WRITABLE | PRESENT);
        invalidate_page(address);
    }

    /// Lets user code pass the entries that lead to the level-1 table of `address`,
    /// made if need be: its own entries decide alone.
    pub fn open_to_users(&mut self, address: u64) {
        self.table(address, 1);
        let mut table = self.space.0;
        for level in (2..=4).rev() {
            let index = address >> (12 + 9 * (level - 1)) & (ENTRIES - 1);
            let entry = table.read(index) | USER;
            table.write(index, entry);
            table = Page(entry & ADDRESS);
        }
    }

    /// The space in use.
    pub fn space(&self) -> Space {
        self.space
    }

    /// Makes a space like the one in use, but with nothing mapped in the
    /// 512 GiB around `address`, which must not be the first. Everything else
    /// is shared with it.
    pub fn fork(&mut self, address: u64) -> Space {
        let root = self.page();
        let without = address >> 39 & (ENTRIES - 1);
        for index in (0..ENTRIES).filter(|&index| index == 0 || index != without) {
            root.write(index, self.space.0.read(index));
        }
        Space(root)
    }

    /// Loads CR3 with `space`; later changes of mappings are made there.
    pub fn enter(&mut self, space: Space) {
        self.space = space;
        // SAFETY: every space maps the first 4 GiB alike, where the guest is.
        unsafe { write_cr3(space.0.address()) };
    }

    /// The table of `level` that translates `address`, made if need be.
    fn table(&mut self, address: u64, level: u32) -> Page {
        let mut table = self.space.0;
        for above in (level + 1..=4).rev() {
            let index = address >> (12 + 9 * (above - 1)) & (ENTRIES - 1);
            let entry = table.read(index);
            assert!(entry & LARGE == 0 || above == 4, "{address:#x} is part of a large page");
            table = if entry & PRESENT != 0 {
                Page(entry & ADDRESS)
            } else {
                let new = self.page();
                table.write(index, new.address() | WRITABLE | PRESENT);
                new
            };
        }
        table
    }
}
