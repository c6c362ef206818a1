//! How exactly ticks come, against the time-stamp counter of a machine that
//! counts instructions: 10^9 ticks a second.

use guest_runtime::instruction::{disable_interrupts, enable_interrupts, sleep};
use guest_runtime::{pic, pit, println};

use crate::ticks::{self, TIMER};

/// Ticks of the time-stamp counter in a second.
const TSC_HZ: u64 = 1_000_000_000;
/// How far off a tick may be: a millisecond.
const TOLERANCE: u64 = TSC_HZ / 1000;
/// Ticks of the drift test, about 1,000 a second.
const DRIFT_TICKS: u64 = 10_000;
const DRIFT_COUNT: u16 = 1193;
/// Time of the latency test, at about 477 ticks a second. Not 500, the rate at
/// which seL4 counts turns: then its ticks could fall into the servers' work again
/// and again, and end their turn.
const LATENCY_TIME: u64 = 420_000_000;
const LATENCY_COUNT: u16 = 2500;

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
        let [earliest, latest] = pit::start(0, pit::Mode::Rate, count);
        Self { earliest, latest, count, ticks: ticks::count() }
    }

    /// Ticks of the time-stamp counter until tick `number`.
    fn offset(&self, number: u64) -> u64 {
        number * u64::from(self.count) * TSC_HZ / pit::HZ
    }

    /// Ticks of the timer until the time-stamp counter's `tick`.
    fn rises(&self, tick: u64) -> u64 {
        (tick - self.latest) * pit::HZ / (u64::from(self.count) * TSC_HZ)
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

/// Spins for a while; how late interrupts came after the first rise that they
/// answer, at least and at most.
pub fn latency() -> bool {
    let start = Start::new(LATENCY_COUNT);
    let end = start.latest + LATENCY_TIME;
    let (mut sum, mut longest, mut served) = (0, 0, 0);
    let mut before = start.latest;
    enable_interrupts();
    while before < end {
        ticks::spin_until(ticks::count() + 1);
        let entered = ticks::entered();
        let due = start.latest + start.offset(start.rises(before) + 1);
        let late = entered.saturating_sub(due);
        sum += late;
        longest = late.max(longest);
        served += 1;
        before = entered;
    }
    disable_interrupts();
    pic::mask(TIMER);
    let slack = start.latest - start.earliest;
    println!("{served} interrupts for {} rises", start.rises(before));
    println!("mean latency: {}", sum / served);
    println!("longest latency: {longest}");
    println!("all by up to {slack} more, as the timer was started within so many ticks");
    true
}
