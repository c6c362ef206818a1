//! The root task: set up the lab, run the probes in order, power off.

#![allow(
    clippy::result_large_err,
    reason = "what was seen travels by value: there is no allocator"
)]

mod code;
mod lab;
mod probes;
mod subject;
mod verdict;

use sel4::{BootInfoPtr, cap};
use sel4_root_task::{SerialPort, console, println};

use lab::Lab;
use verdict::Verdict;

/// Before 10.0.0 the kernel hands out one capability to all I/O ports.
const ALL_PORTS: cap::IOPort = cap::IOPort::from_bits(7);

const SERIAL: SerialPort = SerialPort::new(ALL_PORTS, SerialPort::COM1);

sel4_root_task::root_task! { main = main, stack = 64 * 1024 }

fn main(bootinfo: &BootInfoPtr) -> ! {
    // Without a serial port nobody would learn that it does not work.
    let _ = SERIAL.initialise();
    console::set_sink(|bytes| {
        for byte in bytes {
            if *byte == b'\n' {
                let _ = SERIAL.send(b"\r");
            }
            let _ = SERIAL.send(&[*byte]);
        }
    });
    println!("kernel-probe: start");
    let mut lab = Lab::new(bootinfo);
    for (name, probe) in probes::ALL {
        match probe(&mut lab) {
            Verdict::Present => println!("{name} present"),
            Verdict::Missing(seen) => println!("{name} missing: {seen}"),
            Verdict::Unknown(why) => println!("{name} unknown: {why}"),
        }
    }
    println!("kernel-probe: done");
    power_off()
}

/// Powers the machine off through QEMU's ACPI power-management port.
fn power_off() -> ! {
    const PM1A_CONTROL: u16 = 0x604;
    const SLEEP_ENABLE: u16 = 1 << 13;
    let _ = ALL_PORTS.ioport_out16(PM1A_CONTROL, SLEEP_ENABLE);
    sel4::init_thread::suspend_self()
}
