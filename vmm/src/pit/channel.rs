//! One counter of the 8254.

use super::clock::Clock;

/// What a counter does with its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// 0: OUT goes high when the count is over.
    TerminalCount = 0,
    /// 1: one pulse after a rising gate.
    OneShot = 1,
    /// 2: OUT is low for one tick at each end of the count.
    RateGenerator = 2,
    /// 3: OUT is high for the first half of each count.
    SquareWave = 3,
    /// 4: one strobe when the count is over.
    SoftwareStrobe = 4,
    /// 5: the same, after a rising gate.
    HardwareStrobe = 5,
}

impl Mode {
    /// The three mode bits of a control word; 6 and 7 are 2 and 3.
    const fn from_bits(bits: u8) -> Self {
        match bits & 7 {
            0 => Self::TerminalCount,
            1 => Self::OneShot,
            2 | 6 => Self::RateGenerator,
            3 | 7 => Self::SquareWave,
            4 => Self::SoftwareStrobe,
            _ => Self::HardwareStrobe,
        }
    }
}

/// Which bytes of a count are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    Low = 1,
    High = 2,
    LowThenHigh = 3,
}

/// A counter: what was written to it, and when.
#[derive(Clone, Debug)]
pub struct Channel {
    mode: Mode,
    bytes: Bytes,
    bcd: bool,
    gate: bool,
    /// 1 to 65,536; `None` between a control word and its count.
    count: Option<u32>,
    /// When counting began, in ticks of the time-stamp counter.
    since: u64,
    /// The low byte of a count whose high byte is still to come.
    written_low: Option<u8>,
    /// Whether the next read gives the high byte.
    high_next: bool,
    latched_count: Option<u16>,
    latched_status: Option<u8>,
}

impl Channel {
    /// Counting 65,536 ticks again and again since `now`.
    pub const fn new(gate: bool, now: u64) -> Self {
        Self {
            mode: Mode::RateGenerator,
            bytes: Bytes::LowThenHigh,
            bcd: false,
            gate,
            count: Some(0x1_0000),
            since: now,
            written_low: None,
            high_next: false,
            latched_count: None,
            latched_status: None,
        }
    }

    /// A control word: mode, bytes and number base. Counting stops until a
    /// count is written. Bytes 0 latches the count instead.
    pub fn control(&mut self, word: u8, now: u64, clock: Clock) {
        self.bytes = match word >> 4 & 3 {
            0 => return self.latch_count(now, clock),
            1 => Bytes::Low,
            2 => Bytes::High,
            _ => Bytes::LowThenHigh,
        };
        self.mode = Mode::from_bits(word >> 1);
        self.bcd = word & 1 != 0;
        self.count = None;
        self.written_low = None;
        self.high_next = false;
        self.latched_count = None;
        self.latched_status = None;
    }

    /// Keeps the count for the next reads, unless one is kept already.
    pub fn latch_count(&mut self, now: u64, clock: Clock) {
        if self.latched_count.is_none() {
            self.latched_count = Some(self.value(now, clock));
            self.high_next = false;
        }
    }

    /// Keeps the status for the next read, unless it is kept already.
    pub fn latch_status(&mut self, now: u64, clock: Clock) {
        if self.latched_status.is_none() {
            let status = u8::from(self.out(now, clock)) << 7
                | u8::from(self.count.is_none()) << 6
                | (self.bytes as u8) << 4
                | (self.mode as u8) << 1
                | u8::from(self.bcd);
            self.latched_status = Some(status);
        }
    }

    /// A write of a byte of the count. Gives whether counting began anew.
    pub const fn write(&mut self, byte: u8, now: u64) -> bool {
        let count = match (self.bytes, self.written_low.take()) {
            (Bytes::Low, _) => byte as u32,
            (Bytes::High, _) => (byte as u32) << 8,
            (Bytes::LowThenHigh, Some(low)) => (byte as u32) << 8 | low as u32,
            (Bytes::LowThenHigh, None) => {
                self.written_low = Some(byte);
                return false;
            }
        };
        self.count = Some(if count == 0 { 0x1_0000 } else { count });
        self.since = now;
        true
    }

    /// A read: status if latched, then the count, latched or live.
    pub fn read(&mut self, now: u64, clock: Clock) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let latched = self.latched_count;
        let [low, high] = latched.unwrap_or_else(|| self.value(now, clock)).to_le_bytes();
        let (byte, last) = match self.bytes {
            Bytes::Low => (low, true),
            Bytes::High => (high, true),
            Bytes::LowThenHigh => (if self.high_next { high } else { low }, self.high_next),
        };
        self.high_next = self.bytes == Bytes::LowThenHigh && !last;
        if last {
            self.latched_count = None;
        }
        byte
    }

    /// Sets the gate. A rising gate starts the count of modes that wait for
    /// it, and of the periodic ones; others go on counting, as in QEMU.
    pub const fn set_gate(&mut self, gate: bool, now: u64) {
        let rises = gate && !self.gate;
        self.gate = gate;
        if rises && !matches!(self.mode, Mode::TerminalCount | Mode::SoftwareStrobe) {
            self.since = now;
        }
    }

    /// The gate.
    pub const fn gate(&self) -> bool {
        self.gate
    }

    /// Oscillator ticks since counting began.
    fn elapsed(&self, now: u64, clock: Clock) -> u64 {
        clock.oscillator(now.saturating_sub(self.since))
    }

    /// What the counter shows.
    fn value(&self, now: u64, clock: Clock) -> u16 {
        let Some(count) = self.count.map(u64::from) else {
            return 0;
        };
        let elapsed = self.elapsed(now, clock);
        let value = match self.mode {
            Mode::RateGenerator => count - elapsed % count,
            Mode::SquareWave => count - elapsed.wrapping_mul(2) % count,
            _ => count.wrapping_sub(elapsed),
        };
        value as u16
    }

    /// The level of OUT.
    pub fn out(&self, now: u64, clock: Clock) -> bool {
        let Some(count) = self.count.map(u64::from) else {
            return self.mode != Mode::TerminalCount;
        };
        let elapsed = self.elapsed(now, clock);
        match self.mode {
            Mode::TerminalCount => elapsed >= count,
            Mode::OneShot => elapsed < count,
            Mode::RateGenerator => elapsed % count + 1 != count,
            Mode::SquareWave => elapsed % count < count.div_ceil(2),
            Mode::SoftwareStrobe | Mode::HardwareStrobe => elapsed != count,
        }
    }

    /// When OUT rises next after `now`, in ticks of the time-stamp counter.
    /// The gate of the channel that interrupts is wired high and never rises.
    pub fn next_rise(&self, now: u64, clock: Clock) -> Option<u64> {
        let count = u64::from(self.count?);
        let elapsed = self.elapsed(now, clock);
        let rise = match self.mode {
            Mode::TerminalCount if elapsed < count => count,
            Mode::SoftwareStrobe if elapsed <= count => count + 1,
            Mode::RateGenerator | Mode::SquareWave => {
                (elapsed / count).saturating_add(1).saturating_mul(count)
            }
            _ => return None,
        };
        Some(self.since.saturating_add(clock.ticks(rise)))
    }
}
