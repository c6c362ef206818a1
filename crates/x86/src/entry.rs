//! Guest page-table entries.

use bitflags::bitflags;

use crate::{Gfn, Level};

/// Physical-address width that guests see in CPUID (leaf 0x8000_0008); entry
/// bits from here to 51 are reserved (SDM vol. 3A, §4.5). QEMU 7.2's TCG
/// offers 40 bits, and the bare oracle runs there.
pub const PHYSICAL_ADDRESS_BITS: u32 = 40;

const ADDRESS_MASK: u64 = ((1 << PHYSICAL_ADDRESS_BITS) - 1) & !0xfff;

bitflags! {
    /// A guest page-table entry of any level (SDM vol. 3A, tables 4-15 to 4-20).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Gpte: u64 {
        /// P: the entry is present.
        const PRESENT = 1 << 0;
        /// R/W: writes are allowed.
        const WRITABLE = 1 << 1;
        /// U/S: user-mode accesses are allowed.
        const USER = 1 << 2;
        /// PWT.
        const WRITE_THROUGH = 1 << 3;
        /// PCD.
        const CACHE_DISABLE = 1 << 4;
        /// A: used for a translation.
        const ACCESSED = 1 << 5;
        /// D: written through (leaves only).
        const DIRTY = 1 << 6;
        /// PS: the entry maps a page at level 2 or 3 (PAT at level 1).
        const PAGE_SIZE = 1 << 7;
        /// G (leaves only).
        const GLOBAL = 1 << 8;
        /// XD: reserved, since guests have no EFER.NXE.
        const EXECUTE_DISABLE = 1 << 63;
        // The address and the bits that software may use are kept as they are.
        const _ = !0;
    }
}

impl Gpte {
    /// Whether this entry, at `level`, maps a page instead of a table.
    pub const fn is_leaf(self, level: Level) -> bool {
        match level {
            Level::L1 => true,
            Level::L2 | Level::L3 => self.contains(Self::PAGE_SIZE),
            Level::L4 => false,
        }
    }

    /// The frame of the next table, or the first frame of the page mapped.
    /// Low bits of a superpage's frame that belong to PAT or are reserved
    /// are dropped.
    pub const fn gfn(self, level: Level) -> Gfn {
        let mut address = self.bits() & ADDRESS_MASK;
        if self.is_leaf(level) {
            address &= !(level.span() - 1);
        }
        Gfn::new(address >> 12)
    }

    /// Bits that must be zero in a present entry at `level`, without NX and
    /// with [`PHYSICAL_ADDRESS_BITS`] (SDM vol. 3A, §4.5.4 and figure 4-11).
    pub const fn reserved_bits(self, level: Level) -> u64 {
        let high = ((1 << 52) - 1) & !((1 << PHYSICAL_ADDRESS_BITS) - 1);
        let always = high | Self::EXECUTE_DISABLE.bits();
        match level {
            Level::L4 => always | Self::PAGE_SIZE.bits(),
            // Bit 12 of a superpage entry is PAT; the rest up to its size is reserved.
            Level::L3 | Level::L2 if self.is_leaf(level) => always | ((level.span() - 1) & !0x1fff),
            _ => always,
        }
    }

    /// Whether a reserved bit is set. Inlined, since it is one test where the
    /// level is a constant, and page walks are made of it.
    #[inline(always)]
    pub const fn is_malformed(self, level: Level) -> bool {
        self.bits() & self.reserved_bits(level) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superpage_frames_drop_pat() {
        let entry = Gpte::from_bits_retain(0x4020_1000 | 0x81);
        assert_eq!(entry.gfn(Level::L2), Gfn::new(0x40200));
        assert!(!entry.is_malformed(Level::L2));
    }

    #[test]
    fn reserved_bits_by_level() {
        let ps = Gpte::from_bits_retain(0x81);
        assert!(ps.is_malformed(Level::L4));
        assert!(!ps.is_malformed(Level::L1));
        assert!(Gpte::from_bits_retain(0x2081).is_malformed(Level::L2));
        assert!(Gpte::from_bits_retain(1 << 40 | 1).is_malformed(Level::L1));
        assert!(!Gpte::from_bits_retain(1 << 39 | 1).is_malformed(Level::L1));
        assert!(!Gpte::from_bits_retain(1 << 52 | 1).is_malformed(Level::L1));
        assert!(Gpte::from_bits_retain(1 << 63 | 1).is_malformed(Level::L1));
    }
}
