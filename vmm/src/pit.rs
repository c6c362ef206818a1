//! The 8254 programmable interval timer, and port B that gates its channel 2.
//!
//! Nothing counts by itself: each access computes what the counters show from
//! the time since their counts were written (Intel 8254 data sheet, order
//! number 231164). The output of channel 0 is input 0 of the interrupt
//! controllers; [`Pit::poll`] tells when it rose, [`Pit::next_rise`] when it
//! will. Binary-coded counts are counted in binary, as in QEMU.

mod channel;
mod clock;
#[cfg(test)]
mod tests;

use channel::Channel;
pub use clock::{Clock, HZ};

/// The counters' ports; the fourth is the command register's.
const FIRST_PORT: u16 = 0x40;
const COMMAND: u16 = 0x43;
/// Port B of the PC's system control.
const PORT_B: u16 = 0x61;
/// Port B: the gate of channel 2.
const GATE_2: u8 = 1 << 0;
/// Port B: the speaker's data.
const SPEAKER: u8 = 1 << 1;
/// Port B: toggles with the memory refresh.
const REFRESH: u8 = 1 << 4;
/// Port B: the output of channel 2.
const OUT_2: u8 = 1 << 5;

/// The timer.
#[derive(Clone, Debug)]
pub struct Pit {
    clock: Clock,
    channels: [Channel; 3],
    /// When channel 0's output rises next; never: `None`.
    rise: Option<u64>,
    speaker: bool,
    refresh: bool,
}

impl Pit {
    /// As the firmware leaves it at `now`: channel 0 with its longest period,
    /// the gate of channel 2 low.
    pub fn new(tsc_hz: u64, now: u64) -> Self {
        let clock = Clock::new(tsc_hz);
        let channels = [true, true, false].map(|gate| Channel::new(gate, now));
        Self {
            clock,
            rise: channels[0].next_rise(now, clock),
            channels,
            speaker: false,
            refresh: false,
        }
    }

    /// Whether the timer answers at `port`.
    pub const fn has(port: u16) -> bool {
        matches!(port, FIRST_PORT..=COMMAND | PORT_B)
    }

    /// Whether channel 0's output rose since the last call; several rises
    /// count once, as they do for an interrupt controller that nobody served.
    pub fn poll(&mut self, now: u64) -> bool {
        match self.rise {
            Some(rise) if rise <= now => {
                self.rise = self.channels[0].next_rise(now, self.clock);
                true
            }
            _ => false,
        }
    }

    /// When channel 0's output rises next, in ticks of the time-stamp counter.
    pub const fn next_rise(&self) -> Option<u64> {
        self.rise
    }

    /// A read of `port`, which is one of the timer's. The command register
    /// reads as zeros.
    pub fn read(&mut self, port: u16, now: u64) -> u8 {
        if port == PORT_B {
            return self.read_port_b(now);
        }
        let index = usize::from(port.wrapping_sub(FIRST_PORT));
        match self.channels.get_mut(index) {
            Some(channel) => channel.read(now, self.clock),
            None => 0,
        }
    }

    /// A write to `port`, which is one of the timer's.
    pub fn write(&mut self, port: u16, value: u8, now: u64) {
        if port == PORT_B {
            self.speaker = value & SPEAKER != 0;
            self.channels[2].set_gate(value & GATE_2 != 0, now);
            return;
        }
        let index = usize::from(port.wrapping_sub(FIRST_PORT));
        match self.channels.get_mut(index) {
            Some(channel) => {
                channel.write(value, now);
            }
            None => self.command(value, now),
        }
        self.rise = self.channels[0].next_rise(now, self.clock);
    }

    fn command(&mut self, word: u8, now: u64) {
        let selected = usize::from(word >> 6);
        match self.channels.get_mut(selected) {
            Some(channel) => channel.control(word, now, self.clock),
            None => self.read_back(word, now),
        }
    }

    /// The read-back command latches count and status of several channels.
    fn read_back(&mut self, word: u8, now: u64) {
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if word & 2 << index == 0 {
                continue;
            }
            if word & 0x20 == 0 {
                channel.latch_count(now, self.clock);
            }
            if word & 0x10 == 0 {
                channel.latch_status(now, self.clock);
            }
        }
    }

    fn read_port_b(&mut self, now: u64) -> u8 {
        self.refresh = !self.refresh;
        let channel = &self.channels[2];
        let bits = [
            (GATE_2, channel.gate()),
            (SPEAKER, self.speaker),
            (REFRESH, self.refresh),
            (OUT_2, channel.out(now, self.clock)),
        ];
        bits.iter().filter(|(_, set)| *set).fold(0, |value, (bit, _)| value | bit)
    }
}
