//! The server's counters, in a page that the supervisor reads.

#![allow(unsafe_code, reason = "the page is known by its address only")]

use core::sync::atomic::{AtomicU64, Ordering};

use protocol::counters::CAPACITY;
pub use protocol::counters::Server;
use system::address_map::COUNTERS;

fn page() -> &'static [AtomicU64; CAPACITY] {
    // SAFETY: the builder maps a page of zeros there, for good, which only
    // this process writes; atomics have no invalid values.
    unsafe { &*(COUNTERS as *const [AtomicU64; CAPACITY]) }
}

/// Counts one more of `counter`.
#[inline]
pub fn count(counter: Server) {
    let word = &page()[counter as usize];
    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
