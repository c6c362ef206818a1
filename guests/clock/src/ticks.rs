//! The interrupt handler: what it counts and keeps.

use core::sync::atomic::{AtomicU64, Ordering};

use guest_runtime::instruction::ticks;
use guest_runtime::{Frame, pic, pit, set_handler};

/// The timer's input.
pub const TIMER: u8 = 0;

static COUNT: AtomicU64 = AtomicU64::new(0);
static ENTERED: AtomicU64 = AtomicU64::new(0);
static RIP: AtomicU64 = AtomicU64::new(0);

/// Sets the handler, and all else as [`quiet`].
pub fn init() {
    set_handler(handle);
    quiet();
}

/// Sets up the controllers anew, without requests and with the timer masked;
/// it asks for nothing in the next 50 ms.
pub fn quiet() {
    pit::start(0, pit::Mode::Once, 0);
    pic::init();
}

fn handle(frame: &mut Frame) -> bool {
    if frame.vector != u64::from(pic::FIRST_VECTOR + TIMER) {
        return false;
    }
    ENTERED.store(ticks(), Ordering::Relaxed);
    RIP.store(frame.rip, Ordering::Relaxed);
    COUNT.fetch_add(1, Ordering::Relaxed);
    pic::end(TIMER);
    true
}

/// Interrupts of the timer so far.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Computes until there were `end` interrupts. Without PAUSE, which QEMU's
/// translator takes for a wish to leave the processor to others.
pub fn spin_until(end: u64) {
    while count() < end {}
}

/// Computes until the time-stamp counter has advanced by `some`.
pub fn pass(some: u64) {
    let end = ticks() + some;
    while ticks() < end {}
}

/// When the last one came, in ticks of the time-stamp counter.
pub fn entered() -> u64 {
    ENTERED.load(Ordering::Relaxed)
}

/// The instruction that the last one came before.
pub fn interrupted_at() -> u64 {
    RIP.load(Ordering::Relaxed)
}
