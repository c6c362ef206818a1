//! The real-time clock, the power-management timer, and the end by soft off.

use guest_runtime::instruction::{halt, in_byte, in_long, out_byte, out_word};
use guest_runtime::{BootInfo, println};

use crate::{acpi, ticks};

const PM_TIMER: u16 = 0x608;
const SLEEP_ENABLE: u16 = 0x2000;

/// Whether clock and timer show what they can.
pub fn check() -> bool {
    let valid = date();
    let passed = timer();
    println!("clock: {}", if valid { "ok" } else { "WRONG" });
    println!("timer: {}", if passed { "ok" } else { "WRONG" });
    valid & passed
}

fn register(index: u8) -> u8 {
    out_byte(0x70, index);
    in_byte(0x71)
}

/// Two decimal digits, if they are.
fn number(index: u8) -> Option<u8> {
    let value = register(index);
    (value >> 4 < 10 && value & 15 < 10).then_some((value >> 4) * 10 + (value & 15))
}

fn date() -> bool {
    println!("status B {:#04x}, D {:#04x}", register(0x0b), register(0x0d));
    let within =
        |index, least, most| number(index).is_some_and(|value| (least..=most).contains(&value));
    within(0, 0, 59)
        && within(2, 0, 59)
        && within(4, 0, 23)
        && within(6, 1, 7)
        && within(7, 1, 31)
        && within(8, 1, 12)
        && within(9, 24, 99)
        && within(0x32, 20, 20)
}

/// A millisecond is 3,579 ticks of a counter of 24 bits.
fn timer() -> bool {
    let before = in_long(PM_TIMER);
    ticks::pass(1_000_000);
    let passed = in_long(PM_TIMER).wrapping_sub(before) & 0xff_ffff;
    (3579..3800).contains(&passed)
}

/// Switches the machine off, by the register that the tables name.
pub fn off(boot: &BootInfo) -> bool {
    let Some(power) = acpi::power(boot) else {
        println!("tables: WRONG");
        return false;
    };
    println!("control at {:#x}, timer at {:#x}", power.control, power.timer);
    println!("type of soft off: {}, processors: {}", power.soft_off, power.processors);
    out_word(power.control, SLEEP_ENABLE | u16::from(power.soft_off) << 10);
    halt()
}
