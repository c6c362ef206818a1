//! The 8254 programmable interval timer, channel 0, one shot (Intel 82C54
//! data sheet, mode 0).

/// Oscillator ticks a second.
pub const HZ: u64 = 1_193_182;
/// Command: channel 0, low byte then high byte, mode 0, binary.
pub const ONE_SHOT: u8 = 0b0011_0000;
/// Port of channel 0's counter, relative to the first PIT port.
pub const CHANNEL_0: u16 = 0x40;
/// Port of the command register.
pub const COMMAND: u16 = 0x43;
/// The interrupt pin on the I/O APIC.
pub const IO_APIC_PIN: u64 = 2;

/// The count that lets the PIT interrupt after about `ticks` ticks of a
/// counter with `hz` ticks a second: rounded up, at least 1, and at most what
/// 16 bits hold (54.9 ms), after which the remainder is programmed again.
pub fn count(ticks: u64, hz: u64) -> u16 {
    let count = (u128::from(ticks) * u128::from(HZ)).div_ceil(u128::from(hz.max(1)));
    count.clamp(1, u128::from(u16::MAX)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_round_up_and_stay_in_range() {
        assert_eq!(count(0, 1_000_000_000), 1);
        assert_eq!(count(1_000_000, 1_000_000_000), 1194);
        assert_eq!(count(u64::MAX, 1), u16::MAX);
        assert_eq!(count(5, 0), u16::MAX);
    }
}
