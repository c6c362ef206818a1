//! The real-time clock in CMOS memory (Motorola MC146818A data sheet).

/// Port that selects a register.
pub const INDEX: u16 = 0x70;
/// Port of the selected register.
pub const DATA: u16 = 0x71;

/// Reads CMOS register number `.0`.
pub trait Cmos {
    /// The register's value.
    fn read(&mut self, register: u8) -> u8;
}

const STATUS_A: u8 = 10;
const STATUS_B: u8 = 11;
const UPDATE_IN_PROGRESS: u8 = 0x80;
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;
/// Afternoon, in the hours register of a 12-hour clock.
const PM: u8 = 0x80;
/// Reads before a clock that never settles is believed as it is.
const PATIENCE: u32 = 100_000;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Raw {
    second: u8,
    minute: u8,
    hour: u8,
    day: u8,
    month: u8,
    year: u8,
}

/// Seconds since 1970 UTC that the clock shows. Years are taken as 2000 to
/// 2099. A clock that shows nonsense gives a nonsensical but harmless number.
pub fn unix_seconds(cmos: &mut impl Cmos) -> u64 {
    let mut raw = settled(cmos);
    let status = cmos.read(STATUS_B);
    let afternoon = status & HOURS_24 == 0 && raw.hour & PM != 0;
    if status & HOURS_24 == 0 {
        raw.hour &= !PM;
    }
    if status & BINARY == 0 {
        raw = raw.map(|bcd| (bcd >> 4).wrapping_mul(10).wrapping_add(bcd & 15));
    }
    if status & HOURS_24 == 0 {
        raw.hour = raw.hour % 12 + if afternoon { 12 } else { 0 };
    }
    seconds(raw)
}

/// Two equal reads outside an update.
fn settled(cmos: &mut impl Cmos) -> Raw {
    let mut last = once(cmos);
    for _ in 0..PATIENCE {
        let next = once(cmos);
        if cmos.read(STATUS_A) & UPDATE_IN_PROGRESS == 0 && next == last {
            break;
        }
        last = next;
    }
    last
}

fn once(cmos: &mut impl Cmos) -> Raw {
    Raw {
        second: cmos.read(0),
        minute: cmos.read(2),
        hour: cmos.read(4),
        day: cmos.read(7),
        month: cmos.read(8),
        year: cmos.read(9),
    }
}

impl Raw {
    fn map(self, f: impl Fn(u8) -> u8) -> Self {
        Self {
            second: f(self.second),
            minute: f(self.minute),
            hour: f(self.hour),
            day: f(self.day),
            month: f(self.month),
            year: f(self.year),
        }
    }
}

/// Days from civil date, with March as the first month so that the leap day
/// comes last.
fn seconds(raw: Raw) -> u64 {
    let month = u64::from(raw.month.clamp(1, 12));
    let year = 2000 + u64::from(raw.year) - u64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + u64::from(raw.day.max(1)) - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    days * 86_400 + u64::from(raw.hour) * 3600 + u64::from(raw.minute) * 60 + u64::from(raw.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake([u8; 12]);

    impl Cmos for Fake {
        fn read(&mut self, register: u8) -> u8 {
            self.0[usize::from(register)]
        }
    }

    fn clock(second: u8, minute: u8, hour: u8, date: [u8; 3], status_b: u8) -> Fake {
        let [day, month, year] = date;
        Fake([second, 0, minute, 0, hour, 0, 0, day, month, year, 0, status_b])
    }

    #[test]
    fn binary_24_hours() {
        // 2024-02-29 12:34:56 UTC
        let mut fake = clock(56, 34, 12, [29, 2, 24], BINARY | HOURS_24);
        assert_eq!(unix_seconds(&mut fake), 1_709_210_096);
    }

    #[test]
    fn bcd_12_hours() {
        let mut noon = clock(0x56, 0x34, 0x12 | PM, [0x29, 0x02, 0x24], 0);
        assert_eq!(unix_seconds(&mut noon), 1_709_210_096);
        let mut midnight = clock(0, 0, 0x12, [0x01, 0x01, 0x00], 0);
        assert_eq!(unix_seconds(&mut midnight), 946_684_800);
    }

    #[test]
    fn nonsense_is_harmless() {
        for byte in 0..=255 {
            unix_seconds(&mut Fake([byte; 12]));
        }
    }
}
