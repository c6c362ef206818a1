//! The tiny guests: their tables at start, and which events may happen.
//!
//! Frames are 16. Root 1 (and 2) leads through PDPT 3 and page directory 4 to
//! the page tables 5 and 6; frames 7 and 8 are data. The direct map, through
//! which guests store to their tables, is frames 13 to 15.

use shadow_core::{Policy, Promotion};

/// Entry bits.
pub const P: u64 = 1;
const W: u64 = 2;
const U: u64 = 4;
const A: u64 = 0x20;
const D: u64 = 0x40;
const PS: u64 = 0x80;
/// All rights, accessed and dirty.
pub const ALL: u64 = P | W | U | A | D;

/// As [`ALL`], for the kernel alone.
pub const KERNEL: u64 = ALL & !U;

/// Frames of RAM.
pub const FRAMES: u32 = 16;
/// The direct map: PDPT, page directory and page table.
pub const DIRECT_TABLES: [u64; 3] = [13, 14, 15];
/// Its first address.
pub const DIRECT: u64 = 200 << 39;

/// What else may happen during an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twists {
    /// Nothing.
    None,
    /// One of the first so many operations is refused.
    Refusals(u32),
    /// A store of the other vCPU before one of the first so many operations.
    Siblings(u32),
}

/// A tiny guest.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Whether it has too many states for every run of the tests.
    pub long: bool,
    /// How the shadow MMU works.
    pub policy: Policy,
    /// vCPUs, at most two.
    pub vcpus: usize,
    /// Tables at start: address and value of each entry.
    pub tables: &'static [(u64, u64)],
    /// What has happened before: pages read by the first vCPU.
    pub touched: &'static [u64],
    /// Entries that change: address, and the values they may get.
    pub entries: &'static [(u64, &'static [u64])],
    /// Pages accessed.
    pub pages: &'static [u64],
    /// Kinds of accesses: reads (`false`) and writes.
    pub writes: &'static [bool],
    /// Roots that may be loaded; the first at start.
    pub roots: &'static [u64],
    /// Whether pages are invalidated.
    pub invlpg: bool,
    /// Whether CPL changes.
    pub views: bool,
    /// Whether a server writes entries too.
    pub server_writes: bool,
    /// Frames that may vanish.
    pub vanish: &'static [u64],
    /// Stores are instructions on the first of these pages that store through
    /// the second.
    pub instruction: Option<(usize, usize)>,
    /// What else may happen during an event.
    pub twists: Twists,
    /// Counters that some state must have moved, or the model shows nothing.
    pub causes: &'static [&'static str],
}

/// Address of entry `slot` of table `table`.
const fn at(table: u64, slot: u64) -> u64 {
    table << 12 | slot << 3
}

/// An entry with all rights.
const fn to(frame: u64) -> u64 {
    frame << 12 | ALL
}

/// Address of page `page` of the region that entry `region` of the page
/// directory maps.
const fn page(region: u64, page: u64) -> u64 {
    region << 21 | page << 12
}

const NOTHING: Setup = Setup {
    name: "",
    about: "",
    long: false,
    policy: Policy {
        promotion: Promotion::Revoke,
        derive: true,
        neighbours: 1,
        longest_run: 1,
        budget: 128,
        unshadow: false,
        remap: true,
        defect: None,
    },
    vcpus: 1,
    tables: &[],
    touched: &[],
    entries: &[],
    pages: &[],
    writes: &[false, true],
    roots: &[1],
    invlpg: true,
    views: false,
    server_writes: false,
    vanish: &[],
    instruction: None,
    twists: Twists::None,
    causes: &[],
};

const RECORDED: Policy = Policy { promotion: Promotion::Recorded, ..NOTHING.policy };

/// One region of one page table.
const ONE_REGION: &[(u64, u64)] =
    &[(at(1, 0), to(3)), (at(3, 0), to(4)), (at(4, 0), to(5)), (at(5, 0), to(7))];

/// Every model of the shadow MMU.
pub const ALL_SETUPS: &[Setup] = &[
    Setup {
        name: "page",
        about: "one page whose entry changes, with and without W, A and D",
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[0, to(7), 7 << 12 | P | W | U, 8 << 12 | P | U | A | D])],
        pages: &[page(0, 0)],
        causes: &["unsync", "resync", "derive"],
        ..NOTHING
    },
    Setup {
        name: "instances",
        about: "one page table at two places, changed and used (R3)",
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(4, 1), to(5)),
            (at(5, 0), to(7)),
        ],
        entries: &[(at(5, 0), &[to(7), to(8)])],
        pages: &[page(0, 0), page(1, 0)],
        writes: &[false],
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "vcpus",
        about: "two vCPUs in one space; each changes the page of the other",
        vcpus: 2,
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[0, to(7), to(8)])],
        pages: &[page(0, 0)],
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "upper",
        about: "an upper entry switched between two page tables (R1)",
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(5, 0), to(7)),
            (at(6, 0), to(8)),
        ],
        entries: &[(at(4, 0), &[0, to(5), to(6)])],
        pages: &[page(0, 0)],
        causes: &["unsync", "resync", "promote"],
        ..NOTHING
    },
    Setup {
        name: "superpage",
        about: "an upper entry that is a table or a superpage in turn",
        tables: ONE_REGION,
        entries: &[(at(4, 0), &[to(5), ALL | PS])],
        pages: &[page(0, 0), page(0, 8)],
        writes: &[false],
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "self-map",
        about: "code that writes the page table that maps it and its data",
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(5, 0), to(7)),
            (at(5, 1), to(5)),
        ],
        entries: &[(at(5, 0), &[0, to(7), to(8)])],
        pages: &[page(0, 0), page(0, 1)],
        writes: &[false],
        instruction: Some((0, 1)),
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "aliases",
        about: "a page table that maps itself at three pages (fixups)",
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(5, 1), to(5)),
            (at(5, 2), to(5)),
            (at(5, 3), to(5)),
        ],
        entries: &[(at(5, 0), &[0, to(7)])],
        pages: &[page(0, 0), page(0, 1), page(0, 2), page(0, 3)],
        invlpg: false,
        causes: &["unsync", "resync", "oos_fixup_evict"],
        ..NOTHING
    },
    Setup {
        name: "roots",
        about: "a table written while no vCPU has its root loaded (R6)",
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[to(7), to(8)])],
        pages: &[page(0, 0)],
        writes: &[false],
        roots: &[1, 2],
        causes: &["unsync", "resync", "stale"],
        ..NOTHING
    },
    Setup {
        name: "views",
        about: "kernel and user views of a page that gains and loses U and W",
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[to(7), 7 << 12 | P | A | D])],
        pages: &[page(0, 0)],
        writes: &[false],
        views: true,
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "eviction",
        about: "three page tables with one home among the out-of-sync pages",
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(4, 1), to(8)),
            (at(4, 2), to(11)),
            (at(5, 0), to(7)),
            (at(8, 0), to(7)),
            (at(11, 0), to(7)),
        ],
        entries: &[(at(5, 0), &[to(7)]), (at(8, 0), &[to(7)]), (at(11, 0), &[to(7)])],
        pages: &[page(0, 0), page(1, 0), page(2, 0)],
        writes: &[false],
        invlpg: false,
        causes: &["unsync", "unsync_evict"],
        ..NOTHING
    },
    Setup {
        name: "refusals",
        about: "each of the first eight operations of each request refused once",
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[0, to(7), to(8)])],
        pages: &[page(0, 0)],
        twists: Twists::Refusals(8),
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "siblings",
        about: "a vCPU that stores between two operations of the server",
        policy: RECORDED,
        vcpus: 2,
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[0, to(7), to(8)])],
        pages: &[page(0, 0)],
        twists: Twists::Siblings(6),
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "evicted-walk",
        about: "a sibling that stores while the table just walked makes room for another (R7)",
        policy: RECORDED,
        vcpus: 2,
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(6)),
            (at(4, 1), to(5)),
            (at(4, 2), to(8)),
            (at(6, 0), to(5)),
            (at(5, 0), to(7)),
            (at(8, 0), to(7)),
        ],
        touched: &[page(0, 0), page(1, 0), page(2, 0)],
        entries: &[(at(6, 0), &[to(5), to(9)]), (at(8, 0), &[to(7)])],
        pages: &[page(0, 0), page(1, 0), page(2, 0)],
        writes: &[true],
        invlpg: false,
        twists: Twists::Siblings(2),
        causes: &["unsync", "unsync_evict"],
        ..NOTHING
    },
    Setup {
        name: "detached",
        about: "page tables below an unlinked one, reused when the pool is empty (R2)",
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(3, 1), to(4)),
            (at(4, 0), to(5)),
            (at(4, 1), to(5)),
            (at(4, 2), to(5)),
            (at(4, 3), to(5)),
            (at(4, 4), to(5)),
            (at(5, 0), to(7)),
        ],
        entries: &[(at(3, 0), &[0, to(4)])],
        touched: &[page(0, 0), page(1, 0), page(2, 0), page(3, 0), page(4, 0)],
        pages: &[page(0, 0), page(512, 0)],
        writes: &[false],
        invlpg: false,
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "parts",
        about: "requests that end after one operation, to be repeated",
        policy: Policy { budget: 1, ..NOTHING.policy },
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(4, 1), to(5)),
            (at(5, 0), to(7)),
        ],
        entries: &[(at(5, 0), &[0, to(7)])],
        pages: &[page(0, 0), page(1, 0)],
        writes: &[false],
        invlpg: false,
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "servers",
        about: "a server that writes a table beside the guest, and a frame that vanishes",
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[0, to(7), to(8)])],
        pages: &[page(0, 0)],
        server_writes: true,
        vanish: &[7],
        causes: &["unsync", "resync", "revoke"],
        ..NOTHING
    },
    Setup {
        name: "instances-3",
        about: "one page table at two places, changed and used (R3), or not present",
        long: true,
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(4, 1), to(5)),
            (at(5, 0), to(7)),
        ],
        entries: &[(at(5, 0), &[0, to(7), to(8)])],
        pages: &[page(0, 0), page(1, 0)],
        writes: &[false],
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "views-writes",
        about: "kernel and user views of a page that gains and loses U and W, written too",
        long: true,
        tables: ONE_REGION,
        entries: &[(at(5, 0), &[to(7), 7 << 12 | P | A | D])],
        pages: &[page(0, 0)],
        views: true,
        causes: &["unsync", "resync"],
        ..NOTHING
    },
    Setup {
        name: "vcpus-2",
        about: "two vCPUs, two pages in two page tables, both changed",
        long: true,
        vcpus: 2,
        tables: &[
            (at(1, 0), to(3)),
            (at(3, 0), to(4)),
            (at(4, 0), to(5)),
            (at(4, 1), to(6)),
            (at(5, 0), to(7)),
            (at(6, 0), to(8)),
        ],
        entries: &[(at(5, 0), &[0, to(7)]), (at(6, 0), &[0, to(8)])],
        pages: &[page(0, 0), page(1, 0)],
        writes: &[false],
        causes: &["unsync", "resync", "resync_only"],
        ..NOTHING
    },
];

/// The setup of that name.
pub fn named(name: &str) -> Option<&'static Setup> {
    ALL_SETUPS.iter().find(|setup| setup.name == name)
}
