//! The 8254 timer: channel 0, which interrupts at input 0, and channel 2,
//! which can be looked at.

use crate::instruction::{in_byte, out_byte, ticks};

/// Ticks a second.
pub const HZ: u64 = 1_193_182;
const CHANNEL_0: u16 = 0x40;
const COMMAND: u16 = 0x43;
/// Port B: gate (bit 0) and output (bit 5) of channel 2.
const PORT_B: u16 = 0x61;

/// What a channel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its output rises once.
    Once = 0,
    /// Its output falls and rises for each count.
    Rate = 2,
    /// Its output is high for half of each count.
    Square = 3,
}

/// Starts `channel` with `count` ticks, 0 for 65,536. Gives the ticks of the
/// time-stamp counter right before and right after.
pub fn start(channel: u8, mode: Mode, count: u16) -> [u64; 2] {
    let [low, high] = count.to_le_bytes();
    let port = CHANNEL_0 + u16::from(channel);
    out_byte(COMMAND, channel << 6 | 0x30 | (mode as u8) << 1);
    out_byte(port, low);
    let before = ticks();
    out_byte(port, high);
    [before, ticks()]
}

/// What `channel` shows.
pub fn count(channel: u8) -> u16 {
    out_byte(COMMAND, channel << 6);
    let port = CHANNEL_0 + u16::from(channel);
    let low = in_byte(port);
    u16::from_le_bytes([low, in_byte(port)])
}

/// The status of `channel`: output in bit 7, null count in bit 6, bytes in
/// 5:4, mode in 3:1.
pub fn status(channel: u8) -> u8 {
    out_byte(COMMAND, 0xe0 | 2 << channel);
    in_byte(CHANNEL_0 + u16::from(channel))
}

/// Opens or closes the gate of channel 2.
pub fn set_gate(open: bool) {
    out_byte(PORT_B, in_byte(PORT_B) & !3 | u8::from(open));
}

/// The output of channel 2.
pub fn output() -> bool {
    in_byte(PORT_B) & 0x20 != 0
}
