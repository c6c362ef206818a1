//! The timer driver's requests.
//!
//! Time is counted in ticks of the time-stamp counter, which every process
//! can read; [`crate::startup::Startup::tsc_hz`] says how many make a second.

/// Word 0: tick at which the sender's notification is to be signalled, once;
/// it replaces the sender's former deadline. A deadline that has passed
/// signals at once. [`NEVER`] cancels.
pub const SET_DEADLINE: u64 = 0x400;
/// No deadline.
pub const NEVER: u64 = u64::MAX;
/// Asks for wall time. Answer: word 0 nanoseconds since 1970 UTC, word 1 the
/// tick at which that held.
pub const WALL_TIME: u64 = 0x401;
/// Answer to both.
pub const OK: u64 = 0x402;

/// `ticks` of a counter with `hz` ticks a second, in nanoseconds.
pub const fn nanoseconds(ticks: u64, hz: u64) -> u64 {
    (ticks as u128 * 1_000_000_000 / if hz == 0 { 1 } else { hz } as u128) as u64
}

/// `nanoseconds` in ticks of a counter with `hz` ticks a second, rounded up
/// and saturated, so that waiting that long is never too short.
pub const fn ticks(nanoseconds: u64, hz: u64) -> u64 {
    let ticks = (nanoseconds as u128 * hz as u128).div_ceil(1_000_000_000);
    if ticks > u64::MAX as u128 { u64::MAX } else { ticks as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_never_too_short() {
        for hz in [1, 999_999_999, 1_000_000_000, 2_593_000_000] {
            for ns in [0, 1, 999, 1_000_000_007] {
                assert!(nanoseconds(ticks(ns, hz), hz) >= ns || hz < 1_000_000_000);
                assert!(
                    u128::from(ticks(ns, hz)) * 1_000_000_000 >= u128::from(ns) * u128::from(hz)
                );
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(ticks(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(nanoseconds(5, 0), 5_000_000_000);
    }
}
