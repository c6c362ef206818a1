//! What every process of Umbriel starts with: its startup page, its
//! supervisor, its counters, and the clock.
//!
//! The root task is not one of them: it starts with what the kernel leaves.

#![no_std]

mod clock;
mod counters;
mod start;

pub use clock::ticks;
pub use counters::{count, counted};
pub use start::start;
