//! Random numbers that a seed decides: xorshift64* (Vigna, "An experimental
//! exploration of Marsaglia's xorshift generators, scrambled", 2016).

/// The generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

// Odd multipliers spread small numbers and lose nothing.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const NUMBER: u64 = 0xd1b5_4a32_d192_ed03;

impl Random {
    /// The numbers of `seed`; every seed has its own.
    pub const fn new(seed: u64) -> Self {
        Self::from_state(seed.wrapping_mul(SEED))
    }

    /// The numbers of part `number` of a run under `seed`, whatever parts were run
    /// before it.
    pub const fn of(seed: u64, number: u64) -> Self {
        let state = seed.wrapping_mul(SEED) ^ number.wrapping_mul(NUMBER).rotate_left(32);
        let mut random = Self::from_state(state);
        // The first numbers of similar states are similar.
        let mut rounds = 0;
        while rounds < 4 {
            random.word();
            rounds += 1;
        }
        random
    }

    /// The state must not be zero.
    const fn from_state(state: u64) -> Self {
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
        for first in [|seed| Random::of(seed, 1).word(), |seed| Random::new(seed).word()] {
            assert_eq!(first(1), first(1));
            assert_ne!(first(0), first(1));
            assert_ne!(first(1), first(2));
        }
    }

    /// Runs of other days can be repeated: the numbers stay what they were.
    #[test]
    fn numbers_stay() {
        assert_eq!(Random::new(1).word(), 0x0d83_b3e2_9a21_487a);
        assert_eq!(Random::of(2, 3).word(), 0x4f15_1347_84f3_cb5b);
    }

    /// Parts are numbered, so that any can be run alone.
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
        for mut random in [Random::of(3, 1), Random::new(3)] {
            let mut seen = [false; 7];
            for _ in 0..200 {
                seen[random.below(7) as usize] = true;
            }
            assert_eq!(seen, [true; 7]);
        }
    }
}
