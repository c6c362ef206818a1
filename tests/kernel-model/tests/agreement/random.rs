//! Random numbers that a seed decides: xorshift64*.

/// The generator.
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`, which is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize % bound) as u8
    }
}
