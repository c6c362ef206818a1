//! Random numbers that a seed decides: xorshift64* (Vigna, "An experimental
//! exploration of Marsaglia's xorshift generators, scrambled", 2016).

/// The generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`; every seed has one of its own.
    pub const fn new(seed: u64) -> Self {
        // The state must not be zero. An odd multiplier spreads small seeds.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(if state == 0 { 1 } else { state })
    }

    /// The next 64 bits.
    pub const fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is small and not zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        (self.word() >> 32) % bound
    }

    /// True once in `times`.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_decide() {
        let first = |seed| Random::new(seed).word();
        assert_eq!(first(1), first(1));
        assert_ne!(first(0), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn every_small_number_comes() {
        let mut random = Random::new(3);
        let mut seen = [false; 7];
        for _ in 0..200 {
            seen[random.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
    }
}
