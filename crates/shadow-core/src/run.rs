//! Runs of faults: each behind what was mapped for the one before.

use x86::Gva;

use crate::policy::Policy;

/// Faults that follow each other: the page behind what was mapped for the last
/// one, and how many entries that were.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Run {
    next: u64,
    length: u16,
}

impl Run {
    pub(crate) const NONE: Self = Self { next: u64::MAX, length: 0 };

    /// The entries to look at for a fault at `gva`, as bits of the word of its
    /// table's entries: the aligned block around it, or one of twice the last size
    /// if it goes on where that ended.
    pub(crate) fn block(&mut self, gva: Gva, policy: &Policy) -> u64 {
        let page = gva.get() >> 12;
        let length = match page == self.next {
            true => (self.length * 2).min(policy.longest_run),
            false => policy.neighbours,
        };
        let first = page & !u64::from(length - 1);
        *self = Self { next: first + u64::from(length), length };
        u64::MAX >> (64 - length) << (first % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First entry and number of entries of the block for a fault at page `page`.
    fn block(run: &mut Run, page: u64) -> (u32, u32) {
        let bits = run.block(Gva::new(page << 12), &Policy::DEFAULT);
        let (first, count) = (bits.trailing_zeros(), bits.count_ones());
        assert_eq!(bits >> first, u64::MAX >> (64 - count), "without a gap");
        (first, count)
    }

    #[test]
    fn blocks_double_while_faults_follow_each_other() {
        let mut run = Run::NONE;
        let pages = [3, 8, 16, 32, 64, 128];
        let blocks = pages.map(|page| block(&mut run, page));
        assert_eq!(blocks, [(0, 8), (0, 16), (0, 32), (0, 64), (0, 64), (0, 64)]);
    }

    #[test]
    fn elsewhere_they_are_small_again() {
        let mut run = Run::NONE;
        assert_eq!([8, 16, 25].map(|page| block(&mut run, page)), [(8, 8), (16, 16), (24, 8)]);
    }

    #[test]
    fn the_first_page_of_all_follows_nothing() {
        let mut run = Run::NONE;
        assert_eq!(block(&mut run, 0), (0, 8));
        let last = (1 << 36) - 1;
        assert_eq!([last, 1 << 36].map(|page| block(&mut run, page)), [(56, 8), (0, 16)]);
    }
}
