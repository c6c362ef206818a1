//! Interrupts between processors.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use guest_runtime::instruction::{
    disable_interrupts, enable_interrupts, pause, read_cr8, write_cr8,
};
use guest_runtime::smp::number;
use guest_runtime::x2apic::{self, To};
use guest_runtime::{Digest, PROCESSORS_MAX, println};

use crate::team::{Team, WAKE, sleep_until};

const PING: u8 = 0x21;
const PONG: u8 = 0x22;
const COUNT: u8 = 0x23;
const ROUNDS: usize = 100;
const SPINS: usize = 20;

static PINGS: AtomicUsize = AtomicUsize::new(0);
static PONGS: AtomicUsize = AtomicUsize::new(0);
static IDS: [AtomicUsize; PROCESSORS_MAX] = [const { AtomicUsize::new(0) }; _];
/// Interrupts that each processor got.
static COUNTS: [AtomicUsize; PROCESSORS_MAX] = [const { AtomicUsize::new(0) }; _];
static ALL: AtomicUsize = AtomicUsize::new(0);
static PRIORITY_HELD: AtomicBool = AtomicBool::new(true);

/// Handles `vector` if it is one of these.
pub fn handle(vector: u8) -> bool {
    match vector {
        PING => {
            PINGS.fetch_add(1, Ordering::Relaxed);
            x2apic::send(PONG, To::Id(0));
        }
        PONG => {
            PONGS.fetch_add(1, Ordering::Relaxed);
        }
        COUNT => {
            COUNTS[number()].fetch_add(1, Ordering::Relaxed);
            ALL.fetch_add(1, Ordering::Relaxed);
            x2apic::send(WAKE, To::Id(0));
        }
        _ => return false,
    }
    true
}

/// All of it.
pub fn check(team: &Team, digest: &mut Digest) -> bool {
    team.run(|number| IDS[number].store(x2apic::id() as usize, Ordering::Relaxed));
    let ids = || IDS.iter().take(team.count()).enumerate();
    let identified = ids().all(|(number, id)| id.load(Ordering::Relaxed) == number);

    team.run(halted);
    let pings = PINGS.swap(0, Ordering::Relaxed);
    println!("{pings} to a processor that sleeps");
    digest.word(pings as u64);
    PONGS.store(0, Ordering::Relaxed);

    team.run(spinning);
    let spins = PINGS.load(Ordering::Relaxed);
    println!("{spins} to a processor that spins");
    digest.word(spins as u64);

    let count = team.count();
    let everybody = (1 << count) - 1;
    let mut passed = identified;
    for (name, to, expected) in [
        ("all but the sender", To::Others, everybody & !1),
        ("all", To::All, everybody),
        ("itself", To::Itself, 1),
        ("the last one", To::Id(count as u32 - 1), 1 << (count - 1)),
        ("everybody by ID", To::Id(u32::MAX), everybody),
        ("two by logical ID", To::Logical(0b11), 0b11),
        ("nobody by logical ID", To::Logical(0x100), 0),
        ("nobody by ID", To::Id(100), 0),
    ] {
        let got = received(to, expected);
        println!("to {name}: {got:#010b}");
        digest.word(got);
        passed &= got == expected;
    }
    team.run(priorities);
    let held = PRIORITY_HELD.load(Ordering::Relaxed);
    println!("priorities hold back: {held}");
    passed & held & (pings == ROUNDS) & (spins == SPINS)
}

/// Sends, and gives those that got it, who are to be `expected`.
fn received(to: To, expected: u64) -> u64 {
    ALL.store(0, Ordering::Relaxed);
    COUNTS.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    x2apic::send(COUNT, to);
    let wanted = expected.count_ones() as usize;
    sleep_until(|| ALL.load(Ordering::Relaxed) >= wanted);
    (0..).zip(&COUNTS).map(|(number, count)| (count.load(Ordering::Relaxed) as u64) << number).sum()
}

fn halted(number: usize) {
    match number {
        0 => {
            for _ in 0..ROUNDS {
                there_and_back();
            }
        }
        1 => sleep_until(|| PINGS.load(Ordering::Relaxed) == ROUNDS),
        _ => {}
    }
}

/// An interrupt to the second processor, whose handler sends one back.
pub fn there_and_back() {
    let before = PONGS.load(Ordering::Relaxed);
    x2apic::send(PING, To::Id(1));
    sleep_until(|| PONGS.load(Ordering::Relaxed) != before);
}

/// The second processor traps nowhere: it must be stopped.
fn spinning(number: usize) {
    match number {
        0 => {
            for _ in 0..SPINS {
                there_and_back();
            }
        }
        1 => {
            while PINGS.load(Ordering::Relaxed) < SPINS {
                pause();
            }
        }
        _ => {}
    }
}

/// An interrupt to itself comes when CR8 lets it, and CR8 is the upper half of
/// the APIC's register. All processors try at once.
fn priorities(own: usize) {
    const TASK_PRIORITY: u32 = 0x808;
    let count = || COUNTS[own].load(Ordering::Relaxed);
    let before = count();
    enable_interrupts();
    write_cr8(2);
    x2apic::send_to_self(COUNT);
    let mut held = count() == before && read_cr8() == 2;
    held &= guest_runtime::instruction::read_msr(TASK_PRIORITY) == 0x20;
    write_cr8(1);
    held &= count() == before + 1;
    write_cr8(0);
    disable_interrupts();
    x2apic::send_to_self(COUNT);
    held &= count() == before + 1;
    enable_interrupts();
    pause();
    held &= count() == before + 2;
    PRIORITY_HELD.fetch_and(held, Ordering::Relaxed);
}
