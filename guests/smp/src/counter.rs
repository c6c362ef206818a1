//! Shared counters: with the LOCK prefix, and under a lock made of it.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest_runtime::instruction::pause;
use guest_runtime::{Digest, println};

use crate::team::Team;

/// Enough that processors are interrupted in the middle of it.
const ADDITIONS: u64 = 1_000_000;
/// With a lock, each takes a while.
const LOCKED: u64 = 200_000;

static COUNTER: AtomicU64 = AtomicU64::new(0);
static LOCK: AtomicBool = AtomicBool::new(false);

struct Plain(UnsafeCell<u64>);

#[allow(unsafe_code)]
// SAFETY: accessed under `LOCK` alone, or when the job is done.
unsafe impl Sync for Plain {}

static PLAIN: Plain = Plain(UnsafeCell::new(0));

/// All processors at once.
pub fn check(team: &Team, digest: &mut Digest) -> bool {
    team.run(|_| {
        for _ in 0..ADDITIONS {
            COUNTER.fetch_add(1, Ordering::Relaxed);
        }
    });
    team.run(|_| {
        for _ in 0..LOCKED {
            while LOCK.swap(true, Ordering::Acquire) {
                pause();
            }
            add();
            LOCK.store(false, Ordering::Release);
        }
    });
    let atomic = COUNTER.load(Ordering::Relaxed);
    let plain = add() - 1;
    println!("counted to {atomic}, and to {plain} under a lock");
    digest.word(atomic);
    digest.word(plain);
    let count = team.count() as u64;
    (atomic, plain) == (count * ADDITIONS, count * LOCKED)
}

#[allow(unsafe_code)]
fn add() -> u64 {
    let plain = PLAIN.0.get();
    // SAFETY: by the holder of the lock, or when nobody else runs.
    unsafe {
        plain.write_volatile(plain.read_volatile() + 1);
        plain.read_volatile()
    }
}
