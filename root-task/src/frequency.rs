//! The frequency of the time-stamp counter, measured.
//!
//! The kernel tells it in whole megahertz, which makes a millisecond a second
//! of error at 1 GHz. Here channel 2 of the interval timer is the measure: a
//! count at each end of some time, each with the ticks around it.

use sel4::{Result, cap, init_thread};

use crate::machine::ticks;

/// Oscillator ticks a second (Intel 8254 data sheet).
const HZ: u64 = 1_193_182;
const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
const PORT_B: u16 = 0x61;
/// Channel 2, low byte then high byte, mode 0.
const COUNT_DOWN: u8 = 0xb0;
/// Channel 2: latch the count.
const LATCH: u8 = 0x80;
/// How long is measured, in oscillator ticks: about 25 ms, a 16-bit count.
const MEASURED: u16 = 30_000;
/// Looks at each end; the one that took the fewest ticks counts.
const LOOKS: usize = 8;
/// The measured frequency is believed if it is at most this part off the
/// kernel's: one in 50.
const PLAUSIBLE: u64 = 50;

/// A count, and the tick at which it held, give or take half of `width`.
#[derive(Clone, Copy)]
struct Look {
    tick: u64,
    width: u64,
    count: u16,
}

/// Ticks of the time-stamp counter in a second: measured, if that is near what
/// the kernel tells in megahertz.
pub fn tsc_hz(kernel_mhz: u32) -> u64 {
    let told = u64::from(kernel_mhz) * 1_000_000;
    match measure() {
        Ok(Some(measured)) if measured.abs_diff(told) <= told / PLAUSIBLE => measured,
        _ => told,
    }
}

fn measure() -> Result<Option<u64>> {
    let ports: cap::IOPort = init_thread::slot::IO_PORT_CONTROL.cast();
    let port_b = ports.ioport_in8(PORT_B)?;
    // Gate open, speaker off.
    ports.ioport_out8(PORT_B, port_b & !3 | 1)?;
    ports.ioport_out8(COMMAND, COUNT_DOWN)?;
    for byte in u16::MAX.to_le_bytes() {
        ports.ioport_out8(CHANNEL_2, byte)?;
    }
    let first = look(ports)?;
    let mut last = first;
    // A counter that stands still must not hold the system up for ever.
    for _ in 0..u16::MAX {
        last = look(ports)?;
        if first.count.wrapping_sub(last.count) >= MEASURED {
            break;
        }
    }
    ports.ioport_out8(PORT_B, port_b)?;
    let passed = u64::from(first.count.wrapping_sub(last.count));
    if passed < u64::from(MEASURED) {
        return Ok(None);
    }
    Ok(Some((last.tick - first.tick) * HZ / passed))
}

/// The best of some looks.
fn look(ports: cap::IOPort) -> Result<Look> {
    let mut best = once(ports)?;
    for _ in 1..LOOKS {
        let other = once(ports)?;
        if other.width < best.width {
            best = other;
        }
    }
    Ok(best)
}

fn once(ports: cap::IOPort) -> Result<Look> {
    let before = ticks();
    ports.ioport_out8(COMMAND, LATCH)?;
    let width = ticks() - before;
    let low = ports.ioport_in8(CHANNEL_2)?;
    let high = ports.ioport_in8(CHANNEL_2)?;
    Ok(Look { tick: before + width / 2, width, count: u16::from_le_bytes([low, high]) })
}
