//! What interrupts cost, to one processor and between two: rows of the cost
//! ledger, in ticks of the time-stamp counter, which are instructions on a machine
//! that counts them.
//!
//! Before each round this processor sleeps for a while, so that all others have come
//! to rest. Otherwise who runs first in a round would follow from the round before,
//! and so on: rows would come out one way or the other, 20 % apart.
//!
//! The kernel shares the processor out in turns of 10 ms. Where a turn ends in the
//! middle of a round while the other processor spins, the round takes all of its
//! turn too: ten million instructions, once in a few hundred rounds, or not at all,
//! as it happens. That would be most of a mean, so a row is what its median cycle of
//! rounds takes, and the longest round is printed beside it.
//!
//! ```text
//! row NAME iterations N instructions TOTAL     one line a row
//! longest NAME instructions N                  of its rounds
//! FAIL NAME: what is wrong
//! bench done
//! ```

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest_runtime::instruction::{disable_interrupts, enable_interrupts, pause, ticks};
use guest_runtime::{Memory, Selection, println, x2apic};

use crate::shootdown::Shootdown;
use crate::team::{Team, sleep_until};
use crate::{ipi, shootdown};

/// Rounds after which shootdowns, which differ, repeat.
const CYCLE: usize = 12;
const CYCLES: usize = 11;
/// The vector of the deadlines.
const DEADLINE: u8 = 0x26;
/// Ticks from setting a deadline to the deadline: more than setting it and
/// falling asleep take.
const AHEAD: u64 = 200_000;
/// What is added to that for each round of a cycle. The machine's timer counts in
/// steps of 838 ticks; so the rounds of a cycle share one step out evenly, and their
/// sum does not depend on where in a step a deadline is set.
const STEP: u64 = 838 / CYCLE as u64;

/// When the handler of a deadline began; 0 before.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// Deadlines so far.
static DEADLINES: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

/// What rows share.
struct Bench<'a> {
    team: &'a Team,
    shootdown: Shootdown<'a>,
}

/// A row.
struct Row {
    name: &'static str,
    /// One round; it gives its ticks, if they make sense.
    round: fn(&mut Bench<'_>) -> Option<u64>,
}

const fn row(name: &'static str, round: fn(&mut Bench<'_>) -> Option<u64>) -> Row {
    Row { name, round }
}

/// Nothing, to take off what boot and print count. Only by name.
const NOTHING: Row = row("nothing", |_| ticks_of(|| ()));

/// Rows while the second processor sleeps.
const ASLEEP: [Row; 5] = [
    row("hlt_wake", |_| rest()),
    row("interrupt_spinning", |_| late(spin_until)),
    row("eoi", |_| ticks_of(x2apic::end)),
    row("ipi_asleep", |_| ipi()),
    row("shootdown_asleep", |bench| bench.shootdown()),
];

/// Rows while the second processor spins.
const SPINNING: [Row; 2] =
    [row("ipi_spinning", |_| ipi()), row("shootdown_spinning", |bench| bench.shootdown())];

/// Runs and prints the rows that are wanted; whether all names are known and all
/// translations were right.
pub fn print(team: &Team, memory: &mut Memory, selection: Selection<'_>) -> bool {
    let mut passed = true;
    let all = || ASLEEP.iter().chain(&SPINNING).chain([&NOTHING]);
    for name in selection.unknown(|name| all().any(|row| row.name == name)) {
        println!("FAIL {name}: there is no such row");
        passed = false;
    }
    let mut bench = Bench { team, shootdown: Shootdown::new(team, memory) };
    x2apic::set_timer(x2apic::Mode::Deadline, DEADLINE);
    if selection.names_row(NOTHING.name) {
        passed &= bench.measure(&NOTHING);
    }
    passed &= bench.measure_wanted(&ASLEEP, selection);
    bench.spin();
    passed &= bench.measure_wanted(&SPINNING, selection);
    STOP.store(true, Ordering::Relaxed);
    if shootdown::wrong() > 0 {
        println!("FAIL shootdown: a translation was wrong");
        passed = false;
    }
    println!("bench done");
    passed
}

impl Bench<'_> {
    /// Whether all rows that are wanted could be measured.
    fn measure_wanted(&mut self, rows: &[Row], selection: Selection<'_>) -> bool {
        let wanted = rows.iter().filter(|row| selection.wants(row.name));
        wanted.fold(true, |passed, row| passed & self.measure(row))
    }

    fn measure(&mut self, row: &Row) -> bool {
        // The first round is another: nothing is mapped or remembered.
        let _: Option<u64> = (row.round)(self);
        let mut longest = 0;
        let mut cycles = [0; CYCLES];
        for cycle in &mut cycles {
            for _ in 0..CYCLE {
                let Some(ticks) = (row.round)(self) else {
                    println!("FAIL {}: an interrupt came before its deadline", row.name);
                    return false;
                };
                longest = ticks.max(longest);
                *cycle += ticks;
            }
        }
        cycles.sort_unstable();
        let total = cycles[CYCLES / 2] * CYCLES as u64;
        // Lines of one length: each byte is an exit, and exits are counted.
        println!("row {:<20} iterations {} instructions {total:>10}", row.name, CYCLES * CYCLE);
        println!("longest {:<20} instructions {longest:>10}", row.name);
        true
    }

    fn shootdown(&mut self) -> Option<u64> {
        rest()?;
        ticks_of(|| self.shootdown.round())
    }

    /// Lets the second processor spin from now on.
    fn spin(&self) {
        self.team.begin(|_| {
            enable_interrupts();
            while !STOP.load(Ordering::Relaxed) {
                pause();
            }
        });
    }
}

/// Notes when an interrupt of a deadline arrives, if `vector` is its.
pub fn handle(vector: u8) -> bool {
    if vector == DEADLINE {
        ARRIVED.store(ticks(), Ordering::Relaxed);
    }
    vector == DEADLINE
}

fn ticks_of(work: impl FnOnce()) -> Option<u64> {
    let before = ticks();
    work();
    ticks().checked_sub(before)
}

/// How late the interrupt of a deadline is while `wait` waits for it; `None` if it
/// is early.
fn late(wait: impl FnOnce(fn() -> bool)) -> Option<u64> {
    ARRIVED.store(0, Ordering::Relaxed);
    let number = DEADLINES.fetch_add(1, Ordering::Relaxed);
    let deadline = ticks() + AHEAD + STEP * (number % CYCLE as u64);
    x2apic::set_deadline(deadline);
    wait(|| ARRIVED.load(Ordering::Relaxed) != 0);
    ARRIVED.load(Ordering::Relaxed).checked_sub(deadline)
}

/// Sleeps until a deadline; how late that ends.
fn rest() -> Option<u64> {
    late(sleep_until)
}

fn ipi() -> Option<u64> {
    rest()?;
    ticks_of(ipi::there_and_back)
}

fn spin_until(done: fn() -> bool) {
    enable_interrupts();
    while !done() {
        pause();
    }
    disable_interrupts();
}
