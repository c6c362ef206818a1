//! The time-stamp counter.

#![allow(unsafe_code, reason = "rdtsc is an intrinsic that is marked unsafe")]

/// Ticks of the time-stamp counter;
/// [`Startup::tsc_hz`](protocol::startup::Startup::tsc_hz) says how many make a second.
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 has `rdtsc`, and seL4 does not forbid it (CR4.TSD is clear).
    unsafe { core::arch::x86_64::_rdtsc() }
}
