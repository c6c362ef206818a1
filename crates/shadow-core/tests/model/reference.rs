//! An independent reading of the manual: what one access does to the guest.
//!
//! Written from SDM vol. 3A §4.5–4.8 as one recursive function over plain
//! numbers, sharing nothing with the walker under test.

use super::memory::Ram;

/// A translation as a TLB would hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Page {
    /// First address and size of the guest's page.
    pub va: u64,
    pub size: u64,
    /// First frame of the page.
    pub frame: u64,
    pub w: bool,
    pub u: bool,
    pub a: bool,
    pub d: bool,
}

impl Page {
    pub fn covers(&self, va: u64) -> bool {
        va >= self.va && va - self.va < self.size
    }

    /// The least page that starts at `va`, by the order of pages.
    pub fn first_at(va: u64) -> Self {
        Self { va, size: 0, frame: 0, w: false, u: false, a: false, d: false }
    }

    pub fn frame_of(&self, va: u64) -> u64 {
        self.frame + (va - self.va) / 4096
    }
}

/// Error-code bits of a walk that ends early.
pub type Code = u32;
pub const NOT_PRESENT: Code = 0;
pub const PROTECTION: Code = 1;
pub const WRITE: Code = 2;
pub const USER: Code = 4;
pub const RESERVED: Code = 8;

/// The translation of `va`, ignoring who asks, and the addresses of the
/// entries used, leaf last.
pub fn lookup(ram: &Ram, cr3: u64, va: u64) -> Result<(Page, Vec<u64>), Code> {
    descend(
        ram,
        cr3 & 0x00ff_ffff_f000,
        va,
        48,
        Page { va: 0, size: 0, frame: 0, w: true, u: true, a: true, d: false },
        vec![],
    )
}

/// What a paging-structure cache holds of one address: the table that the
/// entries from the top down to `level + 1` led to, and their combined bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cached {
    /// Address bits above what the table covers.
    pub prefix: u64,
    /// Address bits below the table's own index: 39, 30 or 21 covered.
    pub covers: u32,
    pub table: u64,
    pub w: bool,
    pub u: bool,
    pub a: bool,
}

impl Cached {
    /// What every walk begins with.
    pub fn root(cr3: u64) -> Self {
        Self { prefix: 0, covers: 48, table: cr3 & 0x00ff_ffff_f000, w: true, u: true, a: true }
    }
}

/// What one entry gives a processor.
pub enum Load {
    Page(Page),
    Table(Cached),
}

/// What a processor may load for `va` by going on from `from`, a table that
/// covers `va`, with memory as it is now.
pub fn load(ram: &Ram, from: &Cached, va: u64) -> Option<Load> {
    let sum = Page { va: 0, size: 0, frame: 0, w: from.w, u: from.u, a: from.a, d: false };
    Some(match step(ram, from.table, va, from.covers, sum).ok()? {
        Step::Leaf(page) => Load::Page(page),
        Step::Table(table, sum) => Load::Table(Cached {
            prefix: va >> (from.covers - 9),
            covers: from.covers - 9,
            table,
            w: sum.w,
            u: sum.u,
            a: sum.a,
        }),
    })
}

enum Step {
    Leaf(Page),
    Table(u64, Page),
}

fn descend(
    ram: &Ram,
    table: u64,
    va: u64,
    bits: u32,
    sum: Page,
    mut used: Vec<u64>,
) -> Result<(Page, Vec<u64>), Code> {
    used.push(table + (va >> (bits - 9) & 0x1ff) * 8);
    match step(ram, table, va, bits, sum)? {
        Step::Leaf(page) => Ok((page, used)),
        Step::Table(table, sum) => descend(ram, table, va, bits - 9, sum, used),
    }
}

fn step(ram: &Ram, table: u64, va: u64, bits: u32, sum: Page) -> Result<Step, Code> {
    let bits = bits - 9;
    let entry = ram.peek(table + (va >> bits & 0x1ff) * 8);
    let bit = |n: u32| entry >> n & 1 == 1;
    if !bit(0) {
        return Err(NOT_PRESENT);
    }
    let large = bit(7) && (bits == 30 || bits == 21);
    let mut reserved = bit(63) || (40..52).any(bit) || (bit(7) && bits == 39);
    if large {
        reserved |= (13..bits).any(bit);
    }
    if reserved {
        return Err(PROTECTION | RESERVED);
    }
    let sum = Page { w: sum.w && bit(1), u: sum.u && bit(2), a: sum.a && bit(5), ..sum };
    let address = entry & 0x00ff_ffff_f000;
    if large || bits == 12 {
        let size = 1 << bits;
        let page = Page {
            va: va / size * size,
            size,
            frame: address / size * (size / 4096),
            d: bit(6),
            ..sum
        };
        return Ok(Step::Leaf(page));
    }
    Ok(Step::Table(address, sum))
}

/// What the access gives: the page and entries used, or the error code.
pub fn access(
    ram: &Ram,
    cr3: u64,
    va: u64,
    write: bool,
    user: bool,
    wp: bool,
) -> Result<(Page, Vec<u64>), Code> {
    let who = if write { WRITE } else { 0 } | if user { USER } else { 0 };
    let (page, used) = lookup(ram, cr3, va).map_err(|code| code | who)?;
    let supervisor_write_ok = page.w || !wp;
    let ok = match (user, write) {
        (true, true) => page.u && page.w,
        (true, false) => page.u,
        (false, true) => supervisor_write_ok,
        (false, false) => true,
    };
    if ok { Ok((page, used)) } else { Err(PROTECTION | who) }
}
