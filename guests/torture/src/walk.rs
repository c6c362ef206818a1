//! What the architecture says an access does, read from the tables in memory
//! (SDM vol. 3A, §4.5 to §4.8), so that the guest checks every observation.

use crate::address::VirtualPage;

/// Bits of an entry.
pub mod bits {
    pub use guest_runtime::bits::*;

    /// Frame number of a 2 MiB page, without PAT.
    pub const LARGE_ADDRESS: u64 = 0x000f_ffff_ffe0_0000;
    /// Reserved in an entry that maps 2 MiB.
    pub const LARGE_RESERVED: u64 = 0x001f_e000;
    /// Reserved without NX.
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// What a processor passes over: bits 8 to 11 (global pages are off) and
    /// 52 to 62.
    pub const IGNORED: u64 = 0x7ff0_0000_0000_0f00;
}

/// Bits of a page fault's error code.
mod code {
    pub const PRESENT: u64 = 1;
    pub const WRITE: u64 = 1 << 1;
    pub const USER: u64 = 1 << 2;
    pub const RESERVED: u64 = 1 << 3;
}

/// What the access does. Fetches have no code of their own without NX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Loads eight bytes.
    Read,
    /// Stores eight bytes.
    Write,
    /// Fetches an instruction.
    Execute,
}

/// How an access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What it does.
    pub kind: Kind,
    /// Whether at CPL 3.
    pub user: bool,
    /// CR0.WP.
    pub write_protect: bool,
}

impl Access {
    /// Reads the tables and is stopped by no right.
    pub const LOOK: Self = Self { kind: Kind::Read, user: false, write_protect: true };
}

/// Physical memory as a walk reads it.
pub trait Tables {
    /// The word at a physical address.
    fn read(&self, address: u64) -> u64;
    /// Whether the guest may use the page at this address as table or data.
    fn owns(&self, address: u64) -> bool;
    /// Bits of an address that the processor does not have: reserved.
    fn reserved(&self) -> u64;
}

/// Tables with the bits that an access has set in them by its walk.
pub struct Walked<'a, T> {
    /// As they were before.
    pub tables: &'a T,
    /// The walk of the access.
    pub walk: &'a Walk,
    /// What the access does.
    pub kind: Kind,
}

impl<T: Tables> Tables for Walked<'_, T> {
    fn read(&self, address: u64) -> u64 {
        self.tables.read(address) | self.walk.sets(address, self.kind)
    }

    fn owns(&self, address: u64) -> bool {
        self.tables.owns(address)
    }

    fn reserved(&self) -> u64 {
        self.tables.reserved()
    }
}

/// An entry that a walk read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Where it lies.
    pub address: u64,
    /// What it was.
    pub value: u64,
}

/// How a walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the 4 KiB of memory at this physical address.
    Page(u64),
    /// With a page fault of this error code.
    Fault(u64),
    /// Outside the guest's pages: the access must not be made.
    Elsewhere,
}

/// A walk.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    steps: [Step; 4],
    depth: usize,
    leaf: bool,
    /// How it ends.
    pub end: End,
}

impl Walk {
    /// Walks the tables of `root` for an access to `page`.
    pub fn new(tables: &impl Tables, root: u64, page: VirtualPage, access: Access) -> Self {
        let mut walk =
            Self { steps: [Step::default(); 4], depth: 0, leaf: false, end: End::Elsewhere };
        walk.end = walk.descend(tables, root, page, access);
        walk
    }

    /// The entries read, from the root down.
    pub fn steps(&self) -> &[Step] {
        &self.steps[..self.depth]
    }

    /// The entries that led to another table.
    pub fn passed(&self) -> &[Step] {
        &self.steps[..self.depth.saturating_sub(1)]
    }

    /// Whether the tables map the page, with whatever rights.
    pub fn maps(&self) -> bool {
        self.leaf
    }

    /// Whether they do by a level-2 entry.
    pub fn is_large(&self) -> bool {
        self.leaf && self.depth == 3
    }

    /// Whether it fails because of a reserved bit.
    pub fn is_reserved(&self) -> bool {
        matches!(self.end, End::Fault(reason) if reason & code::RESERVED != 0)
    }

    /// Whether it fails because of the rights that the entries give.
    pub fn is_protection(&self) -> bool {
        matches!(self.end, End::Fault(reason)
            if reason & (code::RESERVED | code::PRESENT) == code::PRESENT)
    }

    /// Bits that a successful access sets in the entry at `address`; 0 for
    /// other addresses. One entry may be several of the steps.
    pub fn sets(&self, address: u64, kind: Kind) -> u64 {
        let mut set = 0;
        for (depth, step) in self.steps().iter().enumerate() {
            if step.address == address {
                set |= bits::ACCESSED;
                if depth + 1 == self.depth && kind == Kind::Write {
                    set |= bits::DIRTY;
                }
            }
        }
        set
    }

    /// The walk with the bits that a successful access sets.
    pub fn afterwards(&self, kind: Kind) -> Self {
        let mut after = *self;
        for step in &mut after.steps[..self.depth] {
            step.value |= self.sets(step.address, kind);
        }
        after
    }

    fn descend(
        &mut self,
        tables: &impl Tables,
        root: u64,
        page: VirtualPage,
        access: Access,
    ) -> End {
        let write = access.kind == Kind::Write;
        let reason = code::USER * u64::from(access.user) + code::WRITE * u64::from(write);
        let (mut table, mut rights) = (root, bits::WRITABLE | bits::USER);
        for depth in 0..4 {
            let Some(value) = self.load(tables, table, page.index(depth)) else {
                return End::Elsewhere;
            };
            if value & bits::PRESENT == 0 {
                return End::Fault(reason);
            }
            if value & reserved(tables, value, depth) != 0 {
                return End::Fault(reason | code::PRESENT | code::RESERVED);
            }
            rights &= value;
            let large = depth == 2 && value & bits::LARGE != 0;
            if large || depth == 3 {
                self.leaf = true;
                let frame = if large {
                    (value & bits::LARGE_ADDRESS) + page.index(3) as u64 * 4096
                } else {
                    value & bits::ADDRESS
                };
                return match allowed(access, rights) {
                    false => End::Fault(reason | code::PRESENT),
                    true if tables.owns(frame) => End::Page(frame),
                    true => End::Elsewhere,
                };
            }
            table = value & bits::ADDRESS;
        }
        End::Elsewhere
    }

    /// Reads entry `index` of `table`; `None` if the guest must not use it.
    fn load(&mut self, tables: &impl Tables, table: u64, index: usize) -> Option<u64> {
        let address = table + index as u64 * 8;
        let value = tables.owns(table).then(|| tables.read(address))?;
        self.steps[self.depth] = Step { address, value };
        self.depth += 1;
        Some(value)
    }
}

/// Bits that must be zero in a present entry of the table number `depth`.
fn reserved(tables: &impl Tables, value: u64, depth: usize) -> u64 {
    let always = tables.reserved() | bits::NO_EXECUTE;
    match depth {
        0 | 1 => always | bits::LARGE, // no pages of 1 GiB
        2 if value & bits::LARGE != 0 => always | bits::LARGE_RESERVED,
        _ => always,
    }
}

fn allowed(access: Access, rights: u64) -> bool {
    let user = !access.user || rights & bits::USER != 0;
    let write = access.kind != Kind::Write
        || rights & bits::WRITABLE != 0
        || !access.user && !access.write_protect;
    user && write
}

#[cfg(test)]
mod tests {
    use guest_runtime::Random;

    use super::*;

    /// Page 1 is the only one, a table that maps itself.
    struct OnePage([u64; 512]);

    impl Tables for OnePage {
        fn read(&self, address: u64) -> u64 {
            self.0[(address % 4096 / 8) as usize]
        }
        fn owns(&self, address: u64) -> bool {
            address == 4096
        }
        fn reserved(&self) -> u64 {
            1 << 51
        }
    }

    const READ: Access = Access { kind: Kind::Read, user: false, write_protect: true };

    fn walk(entry: u64, access: Access) -> Walk {
        let page = VirtualPage::random(&mut Random::new(1));
        Walk::new(&OnePage([entry; 512]), 4096, page, access)
    }

    fn end(entry: u64, access: Access) -> End {
        walk(entry, access).end
    }

    #[test]
    fn a_table_that_maps_itself() {
        let entry = 4096 | bits::PRESENT | bits::WRITABLE;
        assert_eq!(end(entry, READ), End::Page(4096));
        let walk = walk(entry, READ);
        assert_eq!((walk.steps().len(), walk.passed().len()), (4, 3));
        let leaf = walk.steps()[3].address;
        assert_eq!(walk.sets(leaf, Kind::Write), bits::ACCESSED | bits::DIRTY);
        assert_eq!(walk.sets(0, Kind::Write), 0);
    }

    #[test]
    fn accesses_leave_accessed_and_dirty() {
        let entry = 4096 | bits::PRESENT | bits::WRITABLE;
        let walk = walk(entry, READ);
        let values = |walk: Walk| walk.steps.map(|step| step.value);
        let read = entry | bits::ACCESSED;
        assert_eq!(values(walk.afterwards(Kind::Read)), [read; 4]);
        // The page is its own table: an entry above may be the same word as the leaf.
        let [.., leaf] = values(walk.afterwards(Kind::Write));
        assert_eq!(leaf, read | bits::DIRTY);
    }

    #[test]
    fn faults_are_for_a_missing_page_for_rights_or_for_reserved_bits() {
        let fetch = Access { kind: Kind::Execute, user: true, ..READ };
        let kind = |entry| {
            let walk = walk(entry, fetch);
            (walk.is_protection(), walk.is_reserved())
        };
        let page = 4096 | bits::PRESENT;
        assert_eq!(kind(0), (false, false));
        assert_eq!(kind(page), (true, false));
        assert_eq!(kind(page | bits::USER | bits::NO_EXECUTE), (false, true));
        assert_eq!(kind(page | bits::USER), (false, false));
    }

    #[test]
    fn faults_say_why() {
        let user = Access { user: true, ..READ };
        let write = Access { kind: Kind::Write, ..READ };
        let unprotected = Access { write_protect: false, ..write };
        let page = 4096 | bits::PRESENT;
        assert_eq!(end(0, user), End::Fault(4));
        assert_eq!(end(page, user), End::Fault(5));
        assert_eq!(end(page, write), End::Fault(3));
        assert_eq!(end(page, unprotected), End::Page(4096));
        assert_eq!(end(page | bits::LARGE, READ), End::Fault(9));
        assert_eq!(end(page | 1 << 51, write), End::Fault(11));
        assert_eq!(end(page | bits::NO_EXECUTE, READ), End::Fault(9));
        assert_eq!(end(12288 | bits::PRESENT, READ), End::Elsewhere);
    }
}
