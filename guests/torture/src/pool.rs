//! The pages that are tables and data at once, and the guest's own tables.
//!
//! The pool is the first pages of each of two 2 MiB regions, so that large
//! pages show pool pages too. Every pool page can be the root of a space: its
//! word 0, which no page under test reaches, maps the guest itself. Its last
//! word is code.
#![allow(unsafe_code)] // memory that serves as tables

use core::cell::UnsafeCell;

use guest_runtime::{Page, Random};

use crate::walk::{Tables, bits};

const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;
const REGIONS: u64 = 2;
/// Pool pages of each region, from its start.
const PER_REGION: u64 = 12;
/// Pages in the pool.
pub const PAGES: u64 = REGIONS * PER_REGION;
/// Memory that the guest maps one to one, from 0.
const IDENTITY: u64 = 32 << 20;

/// Word of a pool page that holds code, and what: `ret` at its first byte,
/// `ud2` two bytes on.
const CODE_WORD: u64 = 511;
const CODE: u64 = u64::from_le_bytes([0xc3, 0x90, 0x0f, 0x0b, 0x90, 0x90, 0x90, 0x90]);
/// Offset in a pool page of code that returns.
pub const RETURN_OFFSET: u64 = CODE_WORD * 8;
/// Offset in a pool page of code that traps.
pub const TRAP_OFFSET: u64 = RETURN_OFFSET + 2;

#[repr(C, align(0x200000))]
struct Regions(UnsafeCell<[[u8; LARGE_PAGE as usize]; REGIONS as usize]>);

#[repr(C, align(4096))]
struct IdentityTables(UnsafeCell<[[u64; 512]; 2]>);

// SAFETY: accessed through raw pointers only, by the one thread there is.
unsafe impl Sync for Regions {}
// SAFETY: as above.
unsafe impl Sync for IdentityTables {}

static REGION: Regions = Regions(UnsafeCell::new([[0; LARGE_PAGE as usize]; REGIONS as usize]));
static IDENTITY_TABLES: IdentityTables = IdentityTables(UnsafeCell::new([[0; 512]; 2]));

/// The pool. At most one may be made.
#[derive(Debug)]
pub struct Pool {
    start: u64,
    reserved: u64,
}

impl Pool {
    /// Makes every page a root that maps the guest alone.
    pub fn new() -> Self {
        let pool = Self {
            start: REGION.0.get() as u64,
            reserved: bits::ADDRESS & !((1 << physical_address_bits()) - 1),
        };
        let root_entry = identity();
        for number in 0..PAGES {
            pool.page(number).write(0, root_entry);
            pool.page(number).write(CODE_WORD, CODE);
        }
        pool
    }

    /// Page `number` of [`PAGES`].
    pub fn page(&self, number: u64) -> Page {
        let (region, index) = (number / PER_REGION, number % PER_REGION);
        Page::at(self.start + region * LARGE_PAGE + index * PAGE)
    }

    /// Any page.
    pub fn any(&self, random: &mut Random) -> Page {
        self.page(random.below(PAGES))
    }

    /// Any entry: most lead to a page of the pool with all rights, so that
    /// accesses come far; some are large, reserved or absent.
    pub fn entry(&self, random: &mut Random) -> u64 {
        let mut entry = random.word() & (bits::IGNORED | 0x18); // PWT and PCD change nothing here
        for (bit, all_but_one_in) in [(bits::PRESENT, 16), (bits::WRITABLE, 6), (bits::USER, 6)] {
            if !random.once_in(all_but_one_in) {
                entry |= bit;
            }
        }
        for (bit, one_in) in [(bits::ACCESSED, 3), (bits::DIRTY, 4)] {
            if random.once_in(one_in) {
                entry |= bit;
            }
        }
        entry
            | match random.below(64) {
                0..6 => bits::LARGE | (self.start + random.below(REGIONS) * LARGE_PAGE),
                6 => bits::LARGE | self.any(random).address(),
                7 => bits::NO_EXECUTE | self.any(random).address(),
                10 => self.any(random).address() | self.reserved & random.word(),
                _ => self.any(random).address(),
            }
    }

    /// The word at a physical address of the pool.
    fn word(&self, address: u64) -> (Page, u64) {
        (Page::at(address & !(PAGE - 1)), address % PAGE / 8)
    }

    /// Writes the word at a physical address of the pool.
    pub fn write(&self, address: u64, value: u64) {
        let (page, index) = self.word(address);
        page.write(index, value);
    }
}

impl Tables for Pool {
    fn read(&self, address: u64) -> u64 {
        let (page, index) = self.word(address);
        page.read(index)
    }

    fn owns(&self, address: u64) -> bool {
        let offset = address.wrapping_sub(self.start);
        offset < REGIONS * LARGE_PAGE && offset % LARGE_PAGE < PER_REGION * PAGE
    }

    fn reserved(&self) -> u64 {
        self.reserved
    }
}

/// Builds the tables that map the guest one to one, for all modes: user code is
/// part of the image. A and D are set, so that nothing ever changes there.
/// Gives the root's entry.
fn identity() -> u64 {
    let flags = bits::PRESENT | bits::WRITABLE | bits::USER | bits::ACCESSED | bits::DIRTY;
    let level_3 = Page::at(IDENTITY_TABLES.0.get() as u64);
    let level_2 = Page::at(level_3.address() + PAGE);
    level_3.write(0, level_2.address() | flags);
    for index in 0..IDENTITY / LARGE_PAGE {
        level_2.write(index, (index * LARGE_PAGE) | bits::LARGE | flags);
    }
    level_3.address() | flags
}

/// Width of physical addresses.
fn physical_address_bits() -> u32 {
    const ADDRESS_SIZES: u32 = 0x8000_0008;
    core::arch::x86_64::__cpuid(ADDRESS_SIZES).eax & 0xff
}
