//! What interrupts between two processors cost, in ticks of the time-stamp
//! counter: instructions, on a machine that counts them.

use core::sync::atomic::{AtomicBool, Ordering};

use guest_runtime::instruction::{enable_interrupts, pause, ticks};
use guest_runtime::{Memory, println, x2apic};

use crate::team::{Team, sleep_until};
use crate::{ipi, shootdown};

const ROUNDS: u64 = 100;

static STOP: AtomicBool = AtomicBool::new(false);

/// Prints the mean of each.
pub fn print(team: &Team, memory: &mut Memory) {
    let each = |name, what: &mut dyn FnMut()| {
        // The first round is another: nothing is mapped or remembered.
        what();
        let before = ticks();
        (0..ROUNDS).for_each(|_| what());
        println!("{name}: {}", (ticks() - before) / ROUNDS);
    };
    each("end of no interrupt", &mut x2apic::end);
    each("there and back, asleep", &mut ipi::there_and_back);
    let mut shootdown = shootdown::Shootdown::new(team, memory);
    each("shootdown, asleep", &mut || shootdown.round());
    team.begin(|_| {
        enable_interrupts();
        while !STOP.load(Ordering::Relaxed) {
            pause();
        }
    });
    each("there and back, spinning", &mut ipi::there_and_back);
    each("shootdown, spinning", &mut || shootdown.round());
    STOP.store(true, Ordering::Relaxed);
    sleep_until(|| true);
}
