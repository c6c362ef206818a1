//! pc64 guest that computes: no traps, no memory, until a deadline. It tells
//! which share of the processor it had in the middle of its time.
//!
//! Under `-icount shift=0` the time-stamp counter ticks once an instruction of
//! the whole machine, so the share is its own instructions over the ticks.
//! Beside it runs `storm`, whose times are fitted to these.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[allow(unsafe_code)] // inline assembly
mod guest {
    use core::arch::asm;

    use guest_runtime::instruction::ticks as now;
    use guest_runtime::{BootInfo, entry, println};

    /// Ticks from its start to the begin and the end of what counts.
    const COUNTED: [u64; 2] = [50_000_000, 350_000_000];
    /// Ticks from its start to its end, some time after its neighbour counts.
    const END: u64 = 400_000_000;
    /// Instructions of one unit of work, without the few that look at the clock.
    const UNIT: u64 = 10_000;

    entry!(main);

    fn main(_: &BootInfo) -> u8 {
        let start = now();
        work_until(start + COUNTED[0]);
        let begin = now();
        let units = work_until(start + COUNTED[1]);
        let ticks = now() - begin;
        work_until(start + END);
        println!("{units} units of {UNIT} instructions in {ticks} ticks");
        println!("share per mille: {}", units * UNIT * 1000 / ticks);
        0
    }

    /// Works until the clock shows `deadline`; how many units.
    fn work_until(deadline: u64) -> u64 {
        let mut units = 0;
        while now() < deadline {
            // SAFETY: counts a register down.
            unsafe {
                asm!("2: dec {0}", "jnz 2b", inout(reg) UNIT / 2 => _, options(nomem, nostack))
            };
            units += 1;
        }
        units
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("spin is a guest; `cargo umbriel test boot/fairness` boots it");
}
