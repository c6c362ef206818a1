//! The process's counters, in a page that the supervisor reads.

#![allow(unsafe_code, reason = "the page is known by its address only")]

use core::sync::atomic::{AtomicU64, Ordering};

use protocol::counters::{CAPACITY, Counter};
use system::address_map::COUNTERS;

fn page() -> &'static [AtomicU64; CAPACITY] {
    // SAFETY: the builder maps a page of zeros there, for good, whose
    // first words only this function writes; atomics have no invalid values.
    unsafe { &*(COUNTERS as *const [AtomicU64; CAPACITY]) }
}

/// Counts one more of `counter`.
#[inline]
pub fn count(counter: impl Counter) {
    // Counters are fewer than the page holds, which `counters!` asserts.
    let word = &page()[counter.index() % CAPACITY];
    word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// How many of `counter` were counted.
pub fn counted(counter: impl Counter) -> u64 {
    page()[counter.index() % CAPACITY].load(Ordering::Relaxed)
}
