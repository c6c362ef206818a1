//! The timer and the controllers as a kernel uses them.

use guest_runtime::instruction::{disable_interrupts, enable_interrupts, sleep};
use guest_runtime::{pic, pit, println};

use crate::ticks::{self, TIMER};

/// About 100 Hz.
const COUNT: u16 = 11_932;
/// Ticks of the time-stamp counter that are a little more than a period where
/// it has 10^9 in a second.
const PERIOD: u64 = 10_100_000;

/// Prints what happens; whether all is well.
pub fn check() -> bool {
    let checks = [
        ("ticks while halted", halted as fn() -> bool),
        ("ticks while spinning", spinning),
        ("masked ticks wait", masked),
        ("ticks while interrupts are off count once", merged),
        ("one shot", one_shot),
        ("square wave", square_wave),
        ("channel 2", channel_2),
    ];
    let mut passed = true;
    for (name, check) in checks {
        ticks::quiet();
        let ok = check();
        println!("{name}: {}", if ok { "ok" } else { "WRONG" });
        passed &= ok;
    }
    passed
}

/// One sleep for each tick.
fn halted() -> bool {
    pit::start(0, pit::Mode::Rate, COUNT);
    pic::unmask(TIMER);
    let end = ticks::count() + 50;
    let mut wakes = 0;
    while ticks::count() < end {
        sleep();
        wakes += 1;
    }
    pic::mask(TIMER);
    println!("{wakes} sleeps");
    wakes == 50
}

fn spinning() -> bool {
    pit::start(0, pit::Mode::Rate, COUNT);
    pic::unmask(TIMER);
    let end = ticks::count() + 20;
    enable_interrupts();
    ticks::spin_until(end);
    disable_interrupts();
    pic::mask(TIMER);
    !pic::is_in_service(TIMER)
}

fn masked() -> bool {
    pit::start(0, pit::Mode::Rate, COUNT);
    enable_interrupts();
    let before = ticks::count();
    ticks::pass(PERIOD);
    let none = ticks::count() == before && pic::is_requested(TIMER);
    pic::unmask(TIMER);
    // The write is done when the next instruction runs, the interrupt taken
    // before that.
    let one = ticks::count() == before + 1;
    disable_interrupts();
    pic::mask(TIMER);
    none && one && !pic::is_requested(TIMER)
}

fn merged() -> bool {
    pit::start(0, pit::Mode::Rate, COUNT);
    let before = ticks::count();
    ticks::pass(3 * PERIOD);
    pic::unmask(TIMER);
    sleep();
    let one = ticks::count() == before + 1;
    pic::mask(TIMER);
    one
}

fn one_shot() -> bool {
    pit::start(0, pit::Mode::Once, COUNT);
    let low = pit::status(0);
    let before = ticks::count();
    pic::unmask(TIMER);
    sleep();
    pic::mask(TIMER);
    let high = pit::status(0);
    println!("status {low:#04x}, then {high:#04x}");
    ticks::count() == before + 1 && pit::count(0) > COUNT
}

fn square_wave() -> bool {
    // Too long a period to reach its second half here.
    pit::start(0, pit::Mode::Square, 0);
    let high = pit::status(0);
    ticks::pass(10_000);
    let first = pit::count(0);
    ticks::pass(10_000);
    let second = pit::count(0);
    println!("status {high:#04x}");
    second < first && (first - second).is_multiple_of(2)
}

fn channel_2() -> bool {
    pit::set_gate(false);
    pit::start(2, pit::Mode::Rate, COUNT);
    pit::set_gate(true);
    ticks::pass(10_000);
    let counts = pit::count(2) < COUNT;
    pit::start(2, pit::Mode::Once, COUNT);
    let low = !pit::output();
    ticks::pass(PERIOD);
    let high = pit::output();
    pit::set_gate(false);
    counts && low && high
}
