//! The APIC's timer (§10.5.4): one-shot, periodic, or at a time.
//!
//! Nothing counts by itself. The timer knows when it runs out; the count is
//! what is left until then.

use super::Refused;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Once,
    Periodic,
    Deadline,
}

/// The timer. Times are in ticks of the time-stamp counter.
#[derive(Clone, Debug)]
pub struct Timer {
    mode: Mode,
    /// Divide configuration register.
    divide: u32,
    initial: u32,
    /// When it runs out, if it runs.
    end: Option<u64>,
}

impl Timer {
    /// As after reset: one-shot, divided by two, stopped.
    pub const fn new() -> Self {
        Self { mode: Mode::Once, divide: 0, initial: 0, end: None }
    }

    /// log2 of the ticks for each count (figure 10-10).
    const fn shift(&self) -> u32 {
        ((self.divide & 3 | self.divide >> 1 & 4) + 1) & 7
    }

    const fn ticks(&self, count: u32) -> u64 {
        (count as u64) << self.shift()
    }

    /// Whether it ran out since the last call; several times count once.
    pub fn poll(&mut self, now: u64) -> bool {
        let Some(end) = self.end.filter(|end| *end <= now) else {
            return false;
        };
        let period = self.ticks(self.initial);
        self.end = if self.mode == Mode::Periodic && period != 0 {
            let whole = (now - end) / period + 1;
            end.checked_add(whole.saturating_mul(period))
        } else {
            None
        };
        true
    }

    /// When it runs out next.
    pub const fn next(&self) -> Option<u64> {
        self.end
    }

    /// Writes the mode of the timer's local vector. To and from deadlines the
    /// timer is stopped.
    ///
    /// # Errors
    /// [`Refused`] for the reserved mode.
    pub fn set_mode(&mut self, mode: u32) -> Result<(), Refused> {
        let mode = match mode & 3 {
            0 => Mode::Once,
            1 => Mode::Periodic,
            2 => Mode::Deadline,
            _ => return Err(Refused),
        };
        if (mode == Mode::Deadline) != (self.mode == Mode::Deadline) {
            self.end = None;
        }
        self.mode = mode;
        Ok(())
    }

    /// Writes the initial count, which starts the timer; zero stops it. With
    /// deadlines it is ignored.
    pub fn start(&mut self, count: u32, now: u64) {
        if self.mode == Mode::Deadline {
            return;
        }
        self.initial = count;
        self.end = match count {
            0 => None,
            _ => now.checked_add(self.ticks(count)),
        };
    }

    /// The initial count.
    pub const fn initial_count(&self) -> u32 {
        self.initial
    }

    /// The current count.
    pub fn count(&self, now: u64) -> u32 {
        match self.end {
            Some(end) if self.mode != Mode::Deadline => {
                let left = end.saturating_sub(now).div_ceil(1 << self.shift());
                u32::try_from(left).unwrap_or(u32::MAX)
            }
            _ => 0,
        }
    }

    /// The divide configuration register.
    pub const fn divide(&self) -> u32 {
        self.divide
    }

    /// Writes the divide configuration register; the count goes on from where
    /// it is.
    ///
    /// # Errors
    /// [`Refused`] for reserved bits.
    pub fn set_divide(&mut self, divide: u32, now: u64) -> Result<(), Refused> {
        if divide & !0b1011 != 0 {
            return Err(Refused);
        }
        let count = self.count(now);
        self.divide = divide;
        if self.mode != Mode::Deadline && self.end.is_some() {
            self.end = now.checked_add(self.ticks(count));
        }
        Ok(())
    }

    /// IA32_TSC_DEADLINE: when it runs out, or 0.
    pub fn deadline(&self) -> u64 {
        match self.mode {
            Mode::Deadline => self.end.unwrap_or(0),
            Mode::Once | Mode::Periodic => 0,
        }
    }

    /// Writes IA32_TSC_DEADLINE; zero stops the timer. Without deadlines it is
    /// ignored.
    pub fn set_deadline(&mut self, deadline: u64) {
        if self.mode == Mode::Deadline {
            self.end = (deadline != 0).then_some(deadline);
        }
    }
}
