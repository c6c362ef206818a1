//! The virtual addresses under test.
//!
//! Every index of an address is 1, 2 or 3, so that three words of a page
//! decide what it does as a table of any level, and few pages make tables,
//! aliases and self-maps at once. Index 0 belongs to the guest itself.

use guest_runtime::Random;

/// Indices in use at each level: 1 to this.
pub const WIDTH: usize = 3;
/// How many pages there are.
pub const PAGES: usize = WIDTH.pow(4);

/// A virtual page under test, by its indices from level 4 down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualPage([usize; 4]);

impl VirtualPage {
    /// Any.
    pub fn random(random: &mut Random) -> Self {
        Self(core::array::from_fn(|_| 1 + random.below(WIDTH as u64) as usize))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PAGES).map(|number| {
            Self(core::array::from_fn(|depth| 1 + number / WIDTH.pow(3 - depth as u32) % WIDTH))
        })
    }

    /// Its first address.
    pub fn address(self) -> u64 {
        let [l4, l3, l2, l1] = self.0.map(|index| index as u64);
        l4 << 39 | l3 << 30 | l2 << 21 | l1 << 12
    }

    /// Index in its table number `depth`, 0 being the root.
    pub fn index(self, depth: usize) -> usize {
        self.0[depth]
    }

    /// Number of what it shares with others by its first `depth` indices, in
    /// `0..WIDTH.pow(depth)`; its own number with depth 4.
    pub fn prefix(self, depth: usize) -> usize {
        let indices = self.0.iter().take(depth);
        indices.fold(0, |number, index| number * WIDTH + index - 1)
    }

    /// Numbers of the pages under test in the same 2 MiB.
    pub fn neighbours(self) -> core::ops::Range<usize> {
        let first = self.prefix(3) * WIDTH;
        first..first + WIDTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense() {
        let numbers = VirtualPage::all().map(|page| page.prefix(4));
        assert!(numbers.eq(0..PAGES));
        let page = VirtualPage([1, 1, 1, 2]);
        assert_eq!((page.prefix(4), page.prefix(3)), (1, 0));
        assert_eq!(VirtualPage([3, 3, 3, 3]).prefix(4), PAGES - 1);
        assert_eq!(VirtualPage([1, 1, 2, 3]).neighbours(), 3..6);
        assert_eq!(page.address(), 0x80_4020_2000);
    }
}
