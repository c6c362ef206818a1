//! Power management: the fixed registers of ACPI where SeaBIOS puts them on
//! QEMU's `pc`, and the ways to reset a PC.
//!
//! | port | |
//! |---|---|
//! | 0x600, 0x602 | PM1a status and enable, 16 bits each: kept, without events |
//! | 0x604 | PM1a control, 16 bits: SLP_EN with sleep type 0 is soft off |
//! | 0x608 | the power-management timer, 24 of 32 bits |
//! | 0xcf9 | reset control: bit 2 resets |
//! | 0x64 | keyboard controller: command 0xfe resets |
//!
//! Sources: ACPI 6.5 §4.8.3, Intel 82371AB data sheet §7.2 and §4.1.

/// First port of the PM1a event block.
const STATUS: u16 = 0x600;
const ENABLE: u16 = 0x602;
const CONTROL: u16 = 0x604;
const TIMER: u16 = 0x608;
const RESET_CONTROL: u16 = 0xcf9;
const KEYBOARD: u16 = 0x64;

/// Control: enter the sleep state that bits 12:10 name.
const SLEEP_ENABLE: u16 = 1 << 13;
const SLEEP_TYPE: u16 = 7 << 10;
/// Control: ACPI mode is on.
const SCI_ENABLE: u16 = 1;
const RESET: u8 = 1 << 2;
const PULSE_RESET_LINE: u8 = 0xfe;
/// Ticks of the power-management timer in a second.
const TIMER_HZ: u64 = 3_579_545;
const TIMER_MASK: u32 = 0xff_ffff;

/// What a write asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing; the machine goes on.
    None,
    /// The machine is to go off.
    Off,
    /// The machine is to start anew.
    Reset,
}

/// The registers.
#[derive(Clone, Debug)]
pub struct Power {
    enable: u16,
    control: u16,
    tsc_hz: u64,
}

impl Power {
    /// In ACPI mode, on a machine whose time-stamp counter has `tsc_hz` ticks a second.
    pub const fn new(tsc_hz: u64) -> Self {
        Self { enable: 0, control: SCI_ENABLE, tsc_hz: if tsc_hz == 0 { 1 } else { tsc_hz } }
    }

    /// A read of `size` bytes at `port` at tick `now`; `None` if that is no register.
    pub const fn read(&self, port: u16, size: u8, now: u64) -> Option<u32> {
        match (port, size) {
            (STATUS, 2) => Some(0),
            (ENABLE, 2) => Some(self.enable as u32),
            (CONTROL, 2) => Some(self.control as u32),
            (TIMER, 4) => {
                let ticks = now as u128 * TIMER_HZ as u128 / self.tsc_hz as u128;
                Some(ticks as u32 & TIMER_MASK)
            }
            (RESET_CONTROL, 1) => Some(0),
            _ => None,
        }
    }

    /// A write of `size` bytes at `port`; `None` if that is no register.
    pub const fn write(&mut self, port: u16, size: u8, value: u32) -> Option<Wish> {
        match (port, size) {
            // A status bit is cleared by writing it; none is ever set.
            (STATUS, 2) => {}
            (ENABLE, 2) => self.enable = value as u16,
            (CONTROL, 2) => {
                let value = value as u16;
                // SLP_EN is never read as set.
                self.control = value & !SLEEP_ENABLE | SCI_ENABLE;
                if value & SLEEP_ENABLE != 0 && value & SLEEP_TYPE == 0 {
                    return Some(Wish::Off);
                }
            }
            (RESET_CONTROL, 1) if value as u8 & RESET != 0 => return Some(Wish::Reset),
            (RESET_CONTROL, 1) => {}
            (KEYBOARD, 1) if value as u8 == PULSE_RESET_LINE => return Some(Wish::Reset),
            _ => return None,
        }
        Some(Wish::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_type_0_is_off() {
        let mut power = Power::new(1_000_000_000);
        assert_eq!(power.write(CONTROL, 2, 0x0001), Some(Wish::None));
        assert_eq!(power.write(CONTROL, 2, 0x3401), Some(Wish::None));
        assert_eq!(power.read(CONTROL, 2, 0), Some(0x1401));
        assert_eq!(power.write(CONTROL, 2, 0x2000), Some(Wish::Off));
    }

    #[test]
    fn two_ways_reset() {
        let mut power = Power::new(1_000_000_000);
        assert_eq!(power.write(RESET_CONTROL, 1, 0x02), Some(Wish::None));
        assert_eq!(power.write(RESET_CONTROL, 1, 0x06), Some(Wish::Reset));
        assert_eq!(power.write(KEYBOARD, 1, 0xfe), Some(Wish::Reset));
        assert_eq!(power.write(KEYBOARD, 1, 0xd1), None);
    }

    #[test]
    fn the_timer_counts_24_bits() {
        let power = Power::new(1_000_000_000);
        assert_eq!(power.read(TIMER, 4, 1_000_000_000), Some(3_579_545));
        assert_eq!(power.read(TIMER, 4, 10_000_000_000), Some(35_795_450 & 0xff_ffff));
        assert!(power.read(TIMER, 4, u64::MAX).is_some());
        assert_eq!(power.read(TIMER, 1, 0), None);
    }

    #[test]
    fn other_ports_and_sizes_are_not_its() {
        let mut power = Power::new(0);
        for (port, size) in [(STATUS, 1), (CONTROL, 4), (0x606, 2), (KEYBOARD, 2)] {
            assert_eq!(power.read(port, size, 0), None);
            assert_eq!(power.write(port, size, 0xfe), None);
        }
    }
}
