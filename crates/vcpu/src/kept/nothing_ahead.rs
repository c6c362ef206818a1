//! Where looking ahead was in vain.
//!
//! Most traps are followed by an instruction that does not trap, and most come
//! again at the same place. What was seen there once is remembered, so that
//! the second time costs a comparison. Stale entries cost a trap that could
//! have been saved, nothing else.

use x86::Gva;

use super::{NOWHERE, place_of};

const PLACES: usize = 64;

/// Instructions of a vCPU that did not trap when they were looked at.
pub struct NothingAhead([u64; PLACES]);

impl NothingAhead {
    /// None yet.
    pub const fn new() -> Self {
        Self([NOWHERE; PLACES])
    }

    /// Whether the instruction at `gva` did not trap.
    #[inline]
    pub fn contains(&self, gva: Gva) -> bool {
        self.0.get(place_of(gva.get(), PLACES)) == Some(&gva.get())
    }

    /// Remembers that the instruction at `gva` does not trap.
    pub fn insert(&mut self, gva: Gva) {
        if let Some(place) = self.0.get_mut(place_of(gva.get(), PLACES)) {
            *place = gva.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_remembered_until_its_place_is_taken() {
        let mut seen = NothingAhead::new();
        let (first, second) = (Gva::new(0x1000), Gva::new(0x1000 + (1 << 18)));
        assert!(!seen.contains(first) && !seen.contains(Gva::new(0)));
        seen.insert(first);
        assert!(seen.contains(first) && !seen.contains(second));
        assert_eq!(place_of(first.get(), PLACES), place_of(second.get(), PLACES));
        seen.insert(second);
        assert!(seen.contains(second) && !seen.contains(first));
    }
}
