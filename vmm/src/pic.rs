//! The PC's pair of 8259A interrupt controllers.
//!
//! The second one's output is input 2 of the first. Inputs are numbered 0 to
//! 15 (IRQ), 8 and up at the second. The CPU's side is [`Pair::pending`], what
//! the controller would answer to an acknowledgement now, and
//! [`Pair::acknowledge`], that it took place.

mod chip;
#[cfg(test)]
mod tests;

use chip::{CASCADE, Chip};

/// Command and data port of the first controller.
const FIRST: [u16; 2] = [0x20, 0x21];
/// Command and data port of the second controller.
const SECOND: [u16; 2] = [0xa0, 0xa1];
/// Edge/level control registers (Intel 82371SB data sheet, §2.5.5).
const TRIGGER_MODES: [u16; 2] = [0x4d0, 0x4d1];
/// Inputs that are wired to edge-triggered devices: timer, keyboard, cascade;
/// clock and coprocessor.
const LEVEL_CAPABLE: [u8; 2] = [0xf8, 0xde];
/// Vectors after the firmware has run.
const FIRMWARE_BASES: [u8; 2] = [0x08, 0x70];

/// An interrupt that the CPU may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its input, 0 to 15.
    pub irq: u8,
    /// Its vector.
    pub vector: u8,
}

/// Both controllers.
#[derive(Clone, Debug)]
pub struct Pair {
    chips: [Chip; 2],
}

impl Pair {
    /// As the firmware leaves them, with every input masked.
    pub const fn new() -> Self {
        let [first, second] = FIRMWARE_BASES;
        Self { chips: [Chip::new(first, LEVEL_CAPABLE[0]), Chip::new(second, LEVEL_CAPABLE[1])] }
    }

    /// Whether one of the controllers answers at `port`.
    pub fn has(port: u16) -> bool {
        [FIRST, SECOND, TRIGGER_MODES].as_flattened().contains(&port)
    }

    /// Sets the level of input `irq`, which is taken modulo 16.
    pub const fn set_line(&mut self, irq: u8, high: bool) {
        if irq & 8 == 0 {
            self.chips[0].set_line(irq, high);
        } else {
            self.chips[1].set_line(irq, high);
        }
        self.cascade();
    }

    /// A short pulse at input `irq`.
    pub const fn pulse(&mut self, irq: u8) {
        self.set_line(irq, true);
        self.set_line(irq, false);
    }

    /// Whether input `irq` is masked, at its own controller or on the way.
    pub const fn is_masked(&self, irq: u8) -> bool {
        if irq & 8 == 0 {
            self.chips[0].is_masked(irq)
        } else {
            self.chips[1].is_masked(irq) || self.chips[0].is_masked(CASCADE)
        }
    }

    /// What an acknowledgement would give now.
    pub const fn pending(&self) -> Option<Request> {
        let Some(input) = self.chips[0].pending() else {
            return None;
        };
        if input != CASCADE {
            return Some(Request { irq: input, vector: self.chips[0].vector(input) });
        }
        // A request that the second withdrew: input 7 stands in for it.
        let input = match self.chips[1].pending() {
            Some(input) => input,
            None => 7,
        };
        Some(Request { irq: 8 | input, vector: self.chips[1].vector(input) })
    }

    /// The CPU took the interrupt of input `irq`, as [`Self::pending`] gave it.
    pub fn acknowledge(&mut self, irq: u8) {
        if irq & 8 == 0 {
            self.chips[0].acknowledge(irq);
        } else {
            // A spurious input 7 is not in service anywhere.
            if self.chips[1].pending() == Some(irq & 7) {
                self.chips[1].acknowledge(irq & 7);
            }
            self.chips[0].acknowledge(CASCADE);
        }
        self.cascade();
    }

    /// A read of `port`, which is one of the controllers'.
    pub const fn read(&mut self, port: u16) -> u8 {
        let value = match port {
            0x20 => self.chips[0].read_command(),
            0x21 => self.chips[0].read_data(),
            0xa0 => self.chips[1].read_command(),
            0xa1 => self.chips[1].read_data(),
            0x4d0 => self.chips[0].trigger_modes(),
            _ => self.chips[1].trigger_modes(),
        };
        self.cascade();
        value
    }

    /// A write to `port`, which is one of the controllers'.
    pub const fn write(&mut self, port: u16, value: u8) {
        match port {
            0x20 => self.chips[0].write_command(value),
            0x21 => self.chips[0].write_data(value),
            0xa0 => self.chips[1].write_command(value),
            0xa1 => self.chips[1].write_data(value),
            0x4d0 => self.chips[0].set_trigger_modes(value),
            _ => self.chips[1].set_trigger_modes(value),
        }
        self.cascade();
    }

    /// The second controller's output reaches the first.
    const fn cascade(&mut self) {
        let output = self.chips[1].pending().is_some();
        self.chips[0].set_line(CASCADE, output);
    }
}
