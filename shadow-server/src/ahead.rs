//! Where looking ahead was in vain.
//!
//! Most traps are followed by an instruction that does not trap, and most come
//! again at the same place. What was seen there once is remembered, so that
//! the second time costs a comparison. Stale entries cost a trap that could
//! have been saved, nothing else.

use x86::Gva;

/// Places; a power of two.
const PLACES: usize = 64;

/// Instructions of a vCPU that did not trap when they were looked at.
pub struct NothingAhead([u64; PLACES]);

/// Instructions that follow traps are a few bytes or far apart.
const fn place(gva: Gva) -> usize {
    let address = gva.get() as usize;
    (address ^ address >> 6 ^ address >> 12) % PLACES
}

impl NothingAhead {
    /// None yet.
    pub const fn new() -> Self {
        // No instruction lies there: it would not be canonical.
        Self([1 << 63; PLACES])
    }

    /// Whether the instruction at `gva` did not trap.
    #[inline]
    pub const fn contains(&self, gva: Gva) -> bool {
        self.0[place(gva)] == gva.get()
    }

    /// Remembers that the instruction at `gva` does not trap.
    pub const fn insert(&mut self, gva: Gva) {
        self.0[place(gva)] = gva.get();
    }
}
