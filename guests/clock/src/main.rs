//! pc64 guest that takes timer interrupts: halted, spinning, and at the
//! boundaries where they may be taken. Bare and under Umbriel it prints the
//! same.
//!
//! | argument | |
//! |---|---|
//! | none | the controllers and when interrupts are taken |
//! | `drift` | 10,000 ticks in ten seconds: none lost, none far off |
//! | `off` | the real-time clock, and the end by soft off |
//! | `latency` | how late ticks come to a guest that spins; prints figures |
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[allow(unsafe_code)] // tables that the firmware left in memory
mod acpi;
#[cfg(target_os = "none")]
mod boundary;
#[cfg(target_os = "none")]
mod devices;
#[cfg(target_os = "none")]
mod rate;
#[cfg(target_os = "none")]
mod ticks;
#[cfg(target_os = "none")]
mod wall;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, entry, println};

    use crate::{boundary, devices, rate, ticks, wall};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        ticks::init();
        let passed = match boot.command_line() {
            "drift" => rate::drift(),
            "latency" => rate::latency(),
            "off" => wall::check() && wall::off(boot),
            _ => devices::check() & boundary::check(),
        };
        println!("{}", if passed { "SUCCESS" } else { "FAILURE" });
        u8::from(!passed)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("clock is a guest; `cargo umbriel test boot/clock` boots it");
}
