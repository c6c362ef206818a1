//! Before which instruction an interrupt that waits is taken.
#![allow(unsafe_code)] // the instructions in question

use core::arch::asm;

use guest_runtime::{pic, pit, println};

use crate::ticks::{self, TIMER};

/// A way to turn interrupts on. It gives the address of some instruction; the
/// interrupt must come so many bytes from there.
type Way = fn() -> u64;

/// Prints where interrupts come; whether all is well.
pub fn check() -> bool {
    let ways: [(&str, Way, u64); 4] = [
        ("after the instruction behind sti", sti as Way, 3),
        ("behind sti and hlt", sti_hlt, 1),
        ("behind sti and a page of nops", sti_nops, 1),
        ("behind iretq", iretq, 0),
    ];
    let mut passed = true;
    for (name, way, expected) in ways {
        pending();
        let before = ticks::count();
        let place = way();
        let came = ticks::count() - before;
        let distance = ticks::interrupted_at().wrapping_sub(place);
        pic::mask(TIMER);
        println!("{name}: {came} interrupt, {distance} bytes on");
        passed &= came == 1 && distance == expected;
    }
    passed
}

/// Leaves a request of the timer waiting.
fn pending() {
    ticks::quiet();
    pit::start(0, pit::Mode::Once, 100);
    ticks::pass(200_000);
    pic::unmask(TIMER);
}

fn sti() -> u64 {
    let place;
    // SAFETY: turns interrupts on and off.
    unsafe {
        asm!("sti", "2: inc {n}", "inc {n}", "cli", "lea {place}, [rip + 2b]", n = inout(reg) 0_u64 => _, place = lateout(reg) place)
    }
    place
}

fn sti_hlt() -> u64 {
    let place;
    // SAFETY: as in `sti`.
    unsafe { asm!("sti", "2: hlt", "cli", "lea {place}, [rip + 2b]", place = out(reg) place) }
    place
}

fn sti_nops() -> u64 {
    let place;
    // SAFETY: as in `sti`.
    unsafe {
        asm!("sti", "2: nop", ".skip 64, 0x90", "cli", "lea {place}, [rip + 2b]", place = out(reg) place)
    }
    place
}

/// Returns to the next instruction with interrupts on.
fn iretq() -> u64 {
    let place;
    // SAFETY: a frame for the code that follows, on the same stack.
    unsafe {
        asm!(
            "mov {s}, rsp",
            "push 0x10",
            "push {s}",
            "push 0x202",
            "push 8",
            "lea {s}, [rip + 2f]",
            "push {s}",
            "iretq",
            "2: cli",
            "lea {place}, [rip + 2b]",
            s = out(reg) _,
            place = lateout(reg) place,
        )
    }
    place
}
