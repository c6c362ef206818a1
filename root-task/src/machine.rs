//! The machine: its clock and its power switch.

#![allow(unsafe_code, reason = "rdtsc")]

use sel4::{cap, init_thread};
use sel4_root_task::SerialPort;

/// Ticks of the time-stamp counter.
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 has `rdtsc`, and seL4 does not forbid it (CR4.TSD is clear).
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// PM1a control register of QEMU's `pc` and `q35` (SeaBIOS puts it there).
const PM1A_CONTROL: u16 = 0x604;
/// SLP_EN with sleep type 0: S5, soft off (ACPI 6.5, §4.8.3.2.1).
const SOFT_OFF: u16 = 1 << 13;

/// Switches the machine off. Where that has no effect, the root task sleeps
/// for good.
pub fn power_off() -> ! {
    let ports: cap::IOPort = init_thread::slot::IO_PORT_CONTROL.cast();
    for base in [SerialPort::COM1, SerialPort::COM2] {
        // What the console has written last may still be on its way.
        let _ = SerialPort::new(ports, base).drain();
    }
    // A machine without this register stays on, idle.
    let _ = ports.ioport_out16(PM1A_CONTROL, SOFT_OFF);
    init_thread::suspend_self()
}
