//! The oscillator of the timer, as seen from the time-stamp counter.

/// Oscillator ticks a second.
pub const HZ: u64 = 1_193_182;

/// How ticks of the time-stamp counter relate to the oscillator's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    tsc_hz: u64,
}

impl Clock {
    /// A time-stamp counter with `tsc_hz` ticks a second; 0 is taken for 1.
    pub const fn new(tsc_hz: u64) -> Self {
        Self { tsc_hz: if tsc_hz == 0 { 1 } else { tsc_hz } }
    }

    /// Whole oscillator ticks in `ticks` of the time-stamp counter.
    pub const fn oscillator(self, ticks: u64) -> u64 {
        (ticks as u128 * HZ as u128 / self.tsc_hz as u128) as u64
    }

    /// The least ticks of the time-stamp counter that hold `oscillator` ticks;
    /// what does not fit is the largest value.
    pub const fn ticks(self, oscillator: u64) -> u64 {
        let ticks = (oscillator as u128 * self.tsc_hz as u128).div_ceil(HZ as u128);
        if ticks > u64::MAX as u128 { u64::MAX } else { ticks as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_never_early() {
        for hz in [1, 999_999, 1_000_000_000, 2_593_000_000] {
            let clock = Clock::new(hz);
            for oscillator in [0, 1, 2, 11_932, 0x1_0000, 1 << 40] {
                let ticks = clock.ticks(oscillator);
                assert!(clock.oscillator(ticks) >= oscillator);
                assert!(ticks == 0 || clock.oscillator(ticks - 1) < oscillator);
            }
        }
        assert_eq!(Clock::new(0).ticks(u64::MAX), u64::MAX / HZ + 1);
    }
}
