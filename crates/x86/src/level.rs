//! The four levels of long-mode page tables.

use crate::Gva;

/// A level of the paging hierarchy: 1 is the page table (PT), 4 the PML4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Page table: entries map 4 KiB.
    L1 = 1,
    /// Page directory: entries map 2 MiB.
    L2 = 2,
    /// Page-directory-pointer table: entries map 1 GiB.
    L3 = 3,
    /// PML4: entries map 512 GiB.
    L4 = 4,
}

impl Level {
    /// From the top of a walk to its bottom.
    pub const TOP_DOWN: [Self; 4] = [Self::L4, Self::L3, Self::L2, Self::L1];

    /// log2 of the bytes one entry of this level maps.
    pub const fn shift(self) -> u32 {
        12 + 9 * (self as u32 - 1)
    }

    /// Bytes that one entry of this level maps.
    pub const fn span(self) -> u64 {
        1 << self.shift()
    }

    /// Index of the entry that `gva` uses in a table of this level.
    pub const fn index(self, gva: Gva) -> usize {
        (gva.get() >> self.shift()) as usize & 511
    }

    /// The next level towards the leaf, or `None` below level 1.
    pub const fn below(self) -> Option<Self> {
        match self {
            Self::L4 => Some(Self::L3),
            Self::L3 => Some(Self::L2),
            Self::L2 => Some(Self::L1),
            Self::L1 => None,
        }
    }

    /// The next level towards the root, or `None` above level 4.
    pub const fn above(self) -> Option<Self> {
        match self {
            Self::L1 => Some(Self::L2),
            Self::L2 => Some(Self::L3),
            Self::L3 => Some(Self::L4),
            Self::L4 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_cut_the_address_into_nines() {
        let gva = Gva::new((1 << 39) | (2 << 30) | (3 << 21) | (4 << 12) | 5);
        assert_eq!(Level::TOP_DOWN.map(|level| level.index(gva)), [1, 2, 3, 4]);
    }

    #[test]
    fn spans_match_the_manual() {
        assert_eq!(Level::L1.span(), 4 << 10);
        assert_eq!(Level::L2.span(), 2 << 20);
        assert_eq!(Level::L3.span(), 1 << 30);
    }
}
