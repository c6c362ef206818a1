//! The timer of each processor's APIC.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use guest_runtime::instruction::{enable_interrupts, pause, ticks};
use guest_runtime::smp::number;
use guest_runtime::x2apic::{self, Mode};
use guest_runtime::{Digest, PROCESSORS_MAX, println};

use crate::team::{Team, sleep_until};

const TIMER: u8 = 0x24;
/// Ticks of the time-stamp counter; the machine counts at least a million a
/// millisecond.
const PERIOD: u32 = 1_000_000;
const PERIODS: usize = 10;
const DEADLINES: usize = 5;

static RUN_OUT: [AtomicUsize; PROCESSORS_MAX] = [const { AtomicUsize::new(0) }; _];
static PASSED: AtomicBool = AtomicBool::new(true);

/// Handles `vector` if it is the timer's.
pub fn handle(vector: u8) -> bool {
    if vector == TIMER {
        RUN_OUT[number()].fetch_add(1, Ordering::Relaxed);
    }
    vector == TIMER
}

/// All timers at once, in all modes.
pub fn check(team: &Team, digest: &mut Digest) -> bool {
    team.run(|own| {
        let passed = once(own) & periodic(own) & at_times(own);
        PASSED.fetch_and(passed, Ordering::Relaxed);
    });
    let passed = PASSED.load(Ordering::Relaxed);
    println!("timers run out when they should: {passed}");
    digest.word(passed.into());
    passed
}

fn run_out(own: usize) -> usize {
    RUN_OUT[own].load(Ordering::Relaxed)
}

fn forget(own: usize) {
    RUN_OUT[own].store(0, Ordering::Relaxed);
}

/// Asleep, and awake.
fn once(own: usize) -> bool {
    x2apic::set_timer(Mode::Once, TIMER);
    forget(own);
    let before = ticks();
    x2apic::start_timer(PERIOD);
    let mut passed = x2apic::count() <= PERIOD;
    sleep_until(|| run_out(own) > 0);
    passed &= ticks() - before >= PERIOD.into() && x2apic::count() == 0;
    enable_interrupts();
    let before = ticks();
    x2apic::start_timer(PERIOD);
    while run_out(own) < 2 {
        pause();
    }
    passed & (ticks() - before >= PERIOD.into()) & (run_out(own) == 2)
}

/// The machine may be too slow for each, so some may count once.
fn periodic(own: usize) -> bool {
    x2apic::set_timer(Mode::Periodic, TIMER);
    forget(own);
    let before = ticks();
    x2apic::start_timer(PERIOD);
    sleep_until(|| run_out(own) >= PERIODS);
    let passed = ticks() - before >= u64::from(PERIOD) * PERIODS as u64;
    x2apic::start_timer(0);
    enable_interrupts();
    pause();
    forget(own);
    let end = ticks() + 3 * u64::from(PERIOD);
    while ticks() < end {
        pause();
    }
    passed & (run_out(own) == 0)
}

fn at_times(own: usize) -> bool {
    x2apic::set_timer(Mode::Deadline, TIMER);
    forget(own);
    let mut passed = true;
    for number in 1..=DEADLINES {
        let deadline = ticks() + u64::from(PERIOD);
        x2apic::set_deadline(deadline);
        sleep_until(|| run_out(own) >= number);
        passed &= ticks() >= deadline && run_out(own) == number;
    }
    x2apic::set_deadline(1);
    sleep_until(|| run_out(own) > DEADLINES);
    passed
}
