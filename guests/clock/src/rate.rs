//! How exactly ticks come, against the time-stamp counter of a machine that
//! counts instructions: 10^9 ticks a second.

use guest_runtime::instruction::{disable_interrupts, enable_interrupts, sleep, ticks as now};
use guest_runtime::{pic, pit, println};

use crate::ticks::{self, TIMER};

/// Ticks of the time-stamp counter in a second.
const TSC_HZ: u64 = 1_000_000_000;
/// How far off a tick may be: a millisecond.
const TOLERANCE: u64 = TSC_HZ / 1000;
/// Ticks of the drift test, about 1,000 a second.
const DRIFT_TICKS: u64 = 10_000;
const DRIFT_COUNT: u16 = 1193;
/// Ticks of the latency test, about 500 a second.
const LATENCY_TICKS: u64 = 500;
const LATENCY_COUNT: u16 = 2386;

/// When the timer was started: some time between these.
struct Start {
    earliest: u64,
    latest: u64,
    count: u16,
    /// Interrupts before.
    ticks: u64,
}

impl Start {
    fn new(count: u16) -> Self {
        pic::unmask(TIMER);
        let earliest = now();
        pit::start(0, pit::Mode::Rate, count);
        Self {
            earliest,
            latest: now(),
            count,
            ticks: ticks::count(),
        }
    }

    /// Ticks of the time-stamp counter until tick `number`.
    fn offset(&self, number: u64) -> u64 {
        number * u64::from(self.count) * TSC_HZ / pit::HZ
    }
}

/// Sleeps through ten seconds of ticks.
pub fn drift() -> bool {
    let start = Start::new(DRIFT_COUNT);
    let mut far = 0;
    for number in 1..=DRIFT_TICKS {
        while ticks::count() < start.ticks + number {
            sleep();
        }
        let due = start.offset(number);
        let early = start.earliest + due;
        let late = start.latest + due + TOLERANCE;
        far += u64::from(!(early..=late).contains(&ticks::entered()));
    }
    let passed = ticks::entered() - start.earliest;
    pic::mask(TIMER);
    println!("{DRIFT_TICKS} ticks, {far} more than a millisecond off");
    println!("{} s", passed / TSC_HZ);
    far == 0
}

/// Spins through the ticks; how late they came, at least and at most.
pub fn latency() -> bool {
    let start = Start::new(LATENCY_COUNT);
    let (mut sum, mut longest) = (0, 0);
    enable_interrupts();
    for number in 1..=LATENCY_TICKS {
        ticks::spin_until(start.ticks + number);
        let late = ticks::entered().saturating_sub(start.latest + start.offset(number));
        sum += late;
        longest = late.max(longest);
    }
    disable_interrupts();
    pic::mask(TIMER);
    let slack = start.latest - start.earliest;
    println!("start known to {slack} ticks; ticks are late by as much more at most");
    println!("mean latency: {}", sum / LATENCY_TICKS);
    println!("longest latency: {longest}");
    true
}
