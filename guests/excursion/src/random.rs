//! Random numbers that a seed decides: xorshift64* (Vigna, "An experimental
//! exploration of Marsaglia's xorshift generators, scrambled", 2016).

/// The generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of instruction sequence `number` under `seed`, whatever was run
    /// before it.
    pub const fn of(seed: u64, number: u64) -> Self {
        // The state must not be zero. Odd multipliers spread small numbers.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03).rotate_left(32);
        let mut random = Self(if state == 0 { 1 } else { state });
        // The first numbers of similar states are similar.
        let mut rounds = 0;
        while rounds < 4 {
            random.word();
            rounds += 1;
        }
        random
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
        let first = |seed| Random::of(seed, 1).word();
        assert_eq!(first(1), first(1));
        assert_ne!(first(0), first(1));
        assert_ne!(first(1), first(2));
    }

    /// Sequences are numbered, so that any can be run alone.
    #[test]
    fn numbers_decide() {
        let mut first: Vec<u64> = (0..2000).map(|n| Random::of(1, n).word()).collect();
        assert_eq!(first[7], Random::of(1, 7).word());
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 2000);
    }

    #[test]
    fn every_small_number_comes() {
        let mut random = Random::of(3, 1);
        let mut seen = [false; 7];
        for _ in 0..200 {
            seen[random.below(7) as usize] = true;
        }
        assert_eq!(seen, [true; 7]);
    }
}
