//! The real-time clock and its CMOS memory (Motorola MC146818A data sheet).
//!
//! It shows wall time, which it is given for each access. It does not
//! interrupt, and setting it has no effect: a guest that wants another time
//! keeps the difference.

/// Port that selects a register; bit 7 masks NMIs, of which there are none.
const INDEX: u16 = 0x70;
/// Port of the selected register.
const DATA: u16 = 0x71;
const NANOSECONDS: u64 = 1_000_000_000;
/// How long before a new second the clock says that it is changing.
const UPDATE_NS: u64 = 244_000;
const SECONDS_A_DAY: u64 = 86_400;

const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;
/// The register for the century on PCs.
const CENTURY: u8 = 0x32;
/// A: an update is near.
const UPDATE_IN_PROGRESS: u8 = 0x80;
/// A: 32,768 Hz, and the rate that firmware leaves.
const RATE: u8 = 0x26;
/// B: binary numbers.
const BINARY: u8 = 0x04;
/// B: hours from 0 to 23.
const HOURS_24: u8 = 0x02;
/// D: the battery is good.
const VALID: u8 = 0x80;
/// Afternoon, with hours from 1 to 12.
const AFTERNOON: u8 = 0x80;

/// The clock.
#[derive(Clone, Debug)]
pub struct Rtc {
    index: u8,
    status_b: u8,
    /// What was written where no register is.
    memory: [u8; 128],
}

/// A date and time of day.
struct Time {
    second: u64,
    minute: u64,
    hour: u64,
    /// 1 is Sunday.
    weekday: u64,
    day: u64,
    month: u64,
    year: u64,
}

impl Rtc {
    /// As firmware leaves it: decimal digits, 24 hours.
    pub const fn new() -> Self {
        Self { index: 0, status_b: HOURS_24, memory: [0; 128] }
    }

    /// Whether the clock answers at `port`.
    pub const fn has(port: u16) -> bool {
        matches!(port, INDEX | DATA)
    }

    /// A read of `port`, which is one of the clock's, at `wall_ns` nanoseconds
    /// since 1970 UTC.
    pub fn read(&self, port: u16, wall_ns: u64) -> u8 {
        // The index cannot be read.
        if port == INDEX {
            return 0xff;
        }
        let time = Time::of(wall_ns / NANOSECONDS);
        match self.index {
            0x00 => self.number(time.second),
            0x02 => self.number(time.minute),
            0x04 => self.hours(time.hour),
            0x06 => self.number(time.weekday),
            0x07 => self.number(time.day),
            0x08 => self.number(time.month),
            0x09 => self.number(time.year % 100),
            CENTURY => self.number(time.year / 100),
            STATUS_A if wall_ns % NANOSECONDS >= NANOSECONDS - UPDATE_NS => {
                RATE | UPDATE_IN_PROGRESS
            }
            STATUS_A => RATE,
            STATUS_B => self.status_b,
            STATUS_C => 0,
            STATUS_D => VALID,
            index => self.memory[usize::from(index & 0x7f)],
        }
    }

    /// A write to `port`, which is one of the clock's.
    pub const fn write(&mut self, port: u16, value: u8) {
        if port == INDEX {
            self.index = value & 0x7f;
            return;
        }
        match self.index {
            STATUS_B => self.status_b = value,
            index => self.memory[index as usize & 0x7f] = value,
        }
    }

    /// A number of at most two digits.
    const fn number(&self, value: u64) -> u8 {
        let value = (value % 100) as u8;
        if self.status_b & BINARY != 0 { value } else { ((value / 10) << 4) | (value % 10) }
    }

    const fn hours(&self, hour: u64) -> u8 {
        if self.status_b & HOURS_24 != 0 {
            return self.number(hour);
        }
        let shown = self.number((hour + 11) % 12 + 1);
        if hour >= 12 { shown | AFTERNOON } else { shown }
    }
}

impl Time {
    /// The date of a time in seconds since 1970: eras of 400 years, and years
    /// that begin in March, so that the leap day comes last.
    const fn of(seconds: u64) -> Self {
        let days = seconds / SECONDS_A_DAY;
        let since_march_0 = days + 719_468;
        let era = since_march_0 / 146_097;
        let day_of_era = since_march_0 % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        Self {
            second: seconds % 60,
            minute: seconds / 60 % 60,
            hour: seconds / 3600 % 24,
            // 1970 began on a Thursday.
            weekday: (days + 4) % 7 + 1,
            day: day_of_year - (153 * month + 2) / 5 + 1,
            month: if month < 10 { month + 3 } else { month - 9 },
            year: era * 400 + year_of_era + (month >= 10) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29 12:34:56 UTC, a Thursday.
    const LEAP_DAY: u64 = 1_709_210_096 * NANOSECONDS;

    fn registers(rtc: &mut Rtc, wall_ns: u64) -> [u8; 8] {
        [0, 2, 4, 6, 7, 8, 9, CENTURY].map(|index| {
            rtc.write(INDEX, index | 0x80);
            rtc.read(DATA, wall_ns)
        })
    }

    fn set_mode(rtc: &mut Rtc, mode: u8) {
        rtc.write(INDEX, STATUS_B);
        rtc.write(DATA, mode);
    }

    #[test]
    fn it_shows_decimal_digits_and_24_hours() {
        let shown = registers(&mut Rtc::new(), LEAP_DAY);
        assert_eq!(shown, [0x56, 0x34, 0x12, 5, 0x29, 0x02, 0x24, 0x20]);
    }

    #[test]
    fn it_can_show_binary_numbers_and_12_hours() {
        let mut rtc = Rtc::new();
        set_mode(&mut rtc, BINARY);
        let shown = registers(&mut rtc, LEAP_DAY);
        assert_eq!(shown, [56, 34, 12 | AFTERNOON, 5, 29, 2, 24, 20]);
        let midnight = 946_684_800 * NANOSECONDS;
        assert_eq!(registers(&mut rtc, midnight), [0, 0, 12, 7, 1, 1, 0, 20]);
    }

    #[test]
    fn years_end_and_begin() {
        let mut rtc = Rtc::new();
        set_mode(&mut rtc, BINARY | HOURS_24);
        let new_year = 1_735_689_600 * NANOSECONDS;
        assert_eq!(registers(&mut rtc, new_year), [0, 0, 0, 4, 1, 1, 25, 20]);
        let last = registers(&mut rtc, new_year - 1);
        assert_eq!(last, [59, 59, 23, 3, 31, 12, 24, 20]);
        registers(&mut rtc, u64::MAX);
    }

    #[test]
    fn an_update_is_announced() {
        let mut rtc = Rtc::new();
        rtc.write(INDEX, STATUS_A);
        assert_eq!(rtc.read(DATA, LEAP_DAY), RATE);
        let near = LEAP_DAY + NANOSECONDS - 1;
        assert_eq!(rtc.read(DATA, near), RATE | UPDATE_IN_PROGRESS);
    }

    #[test]
    fn memory_keeps_what_is_written_and_time_does_not() {
        let mut rtc = Rtc::new();
        rtc.write(INDEX, 0x40);
        rtc.write(DATA, 0xa5);
        assert_eq!(rtc.read(DATA, 0), 0xa5);
        rtc.write(INDEX, 0);
        rtc.write(DATA, 0x30);
        assert_eq!(rtc.read(DATA, LEAP_DAY), 0x56);
    }
}
