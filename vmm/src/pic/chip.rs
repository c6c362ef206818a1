//! One 8259A programmable interrupt controller.
//!
//! Eight inputs, each with a bit in three registers: IRR (requested), ISR (in
//! service) and IMR (masked). Commands as in Intel's data sheet, order number
//! 231468 (ICW: initialisation, OCW: operation command words). The 8085 mode
//! and the buffered modes are kept as values without effect, as in QEMU.

/// ICW1: the word that starts an initialisation.
const ICW1: u8 = 0x10;
/// ICW1: no second controller, so ICW3 is left out.
const ICW1_SINGLE: u8 = 0x02;
/// ICW1: ICW4 follows.
const ICW1_ICW4: u8 = 0x01;
/// ICW4: in service only until the acknowledgement ends.
const ICW4_AUTO_EOI: u8 = 0x02;
/// ICW4: requests of the slave that is in service are let through.
const ICW4_SPECIAL_NESTED: u8 = 0x10;
/// OCW3, as opposed to OCW2.
const OCW3: u8 = 0x08;
/// What a poll finds: a request.
const POLL_FOUND: u8 = 0x80;
/// The input that a second controller is connected to.
pub const CASCADE: u8 = 2;

/// The next word that the data port expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// OCW1, the mask.
    Mask,
    Icw2,
    Icw3,
    Icw4,
}

/// An 8259A.
#[derive(Clone, Debug)]
pub struct Chip {
    requested: u8,
    in_service: u8,
    mask: u8,
    /// Levels of the inputs.
    lines: u8,
    /// Inputs that are level-triggered.
    level_triggered: u8,
    /// Vector of input 0; a multiple of 8.
    base: u8,
    expected: Expected,
    single: bool,
    icw4_follows: bool,
    auto_eoi: bool,
    rotate_on_auto_eoi: bool,
    special_nested: bool,
    special_mask: bool,
    /// Reads of the command port give ISR instead of IRR.
    read_in_service: bool,
    /// The next read is a poll.
    poll: bool,
    /// The input of highest priority.
    first: u8,
    /// Inputs that can be level-triggered.
    level_capable: u8,
}

impl Chip {
    /// Initialised for vectors from `base` on with all inputs masked, as
    /// firmware leaves it. `level_capable` inputs may be level-triggered.
    pub const fn new(base: u8, level_capable: u8) -> Self {
        Self {
            requested: 0,
            in_service: 0,
            mask: 0xff,
            lines: 0,
            level_triggered: 0,
            base,
            expected: Expected::Mask,
            single: false,
            icw4_follows: false,
            auto_eoi: false,
            rotate_on_auto_eoi: false,
            special_nested: false,
            special_mask: false,
            read_in_service: false,
            poll: false,
            first: 0,
            level_capable,
        }
    }

    /// Vector of `input`.
    pub const fn vector(&self, input: u8) -> u8 {
        self.base | (input & 7)
    }

    /// Whether `input` is masked.
    pub const fn is_masked(&self, input: u8) -> bool {
        self.mask & bit(input) != 0
    }

    /// Sets the level of `input`. An edge-triggered input requests when its
    /// line rises, a level-triggered one while it is high.
    pub const fn set_line(&mut self, input: u8, high: bool) {
        let bit = bit(input);
        let rises = high && self.lines & bit == 0;
        self.lines = if high { self.lines | bit } else { self.lines & !bit };
        if self.level_triggered & bit != 0 {
            self.requested = self.requested & !bit | self.lines & bit;
        } else if rises {
            self.requested |= bit;
        }
    }

    /// The input that is asking for an interrupt now, if any.
    pub const fn pending(&self) -> Option<u8> {
        let Some(asking) = self.highest(self.requested & !self.mask) else {
            return None;
        };
        let mut serving = self.in_service;
        if self.special_mask {
            serving &= !self.mask;
        }
        if self.special_nested && asking == CASCADE {
            serving &= !bit(CASCADE);
        }
        match self.highest(serving) {
            Some(serving) if self.rank(serving) <= self.rank(asking) => None,
            _ => Some(asking),
        }
    }

    /// The CPU takes the interrupt of `input`.
    pub const fn acknowledge(&mut self, input: u8) {
        let bit = bit(input);
        if self.level_triggered & bit == 0 {
            self.requested &= !bit;
        }
        if !self.auto_eoi {
            self.in_service |= bit;
        } else if self.rotate_on_auto_eoi {
            self.first = (input + 1) & 7;
        }
    }

    /// A write to the command port.
    pub const fn write_command(&mut self, value: u8) {
        if value & ICW1 != 0 {
            self.initialise(value);
        } else if value & OCW3 != 0 {
            self.operate(value);
        } else {
            self.end_of_interrupt(value);
        }
    }

    /// ICW1 resets all but the trigger modes and the base.
    const fn initialise(&mut self, icw1: u8) {
        *self = Self {
            requested: self.requested & self.level_triggered,
            mask: 0,
            lines: self.lines,
            level_triggered: self.level_triggered,
            expected: Expected::Icw2,
            single: icw1 & ICW1_SINGLE != 0,
            icw4_follows: icw1 & ICW1_ICW4 != 0,
            ..Self::new(self.base, self.level_capable)
        };
    }

    /// OCW3.
    const fn operate(&mut self, value: u8) {
        if value & 0x04 != 0 {
            self.poll = true;
        }
        if value & 0x02 != 0 {
            self.read_in_service = value & 0x01 != 0;
        }
        if value & 0x40 != 0 {
            self.special_mask = value & 0x20 != 0;
        }
    }

    /// OCW2: its upper three bits are the command, the lower an input.
    const fn end_of_interrupt(&mut self, value: u8) {
        let named = value & 7;
        match value >> 5 {
            command @ (0 | 4) => self.rotate_on_auto_eoi = command == 4,
            command @ (1 | 5) => {
                if let Some(serving) = self.highest(self.in_service) {
                    self.in_service &= !bit(serving);
                    if command == 5 {
                        self.first = (serving + 1) & 7;
                    }
                }
            }
            3 => self.in_service &= !bit(named),
            7 => {
                self.in_service &= !bit(named);
                self.first = (named + 1) & 7;
            }
            6 => self.first = (named + 1) & 7,
            _ => {}
        }
    }

    /// A write to the data port.
    pub const fn write_data(&mut self, value: u8) {
        self.expected = match self.expected {
            Expected::Mask => {
                self.mask = value;
                Expected::Mask
            }
            Expected::Icw2 => {
                self.base = value & 0xf8;
                if !self.single { Expected::Icw3 } else { self.after_icw3() }
            }
            // Which input a second controller uses is wired, not chosen.
            Expected::Icw3 => self.after_icw3(),
            Expected::Icw4 => {
                self.auto_eoi = value & ICW4_AUTO_EOI != 0;
                self.special_nested = value & ICW4_SPECIAL_NESTED != 0;
                Expected::Mask
            }
        };
    }

    const fn after_icw3(&self) -> Expected {
        if self.icw4_follows { Expected::Icw4 } else { Expected::Mask }
    }

    /// A read of the command port: IRR or ISR, or what a poll finds.
    pub const fn read_command(&mut self) -> u8 {
        if self.poll {
            return self.polled();
        }
        if self.read_in_service { self.in_service } else { self.requested }
    }

    /// A read of the data port: the mask, or what a poll finds.
    pub const fn read_data(&mut self) -> u8 {
        if self.poll {
            return self.polled();
        }
        self.mask
    }

    /// A poll acknowledges.
    const fn polled(&mut self) -> u8 {
        self.poll = false;
        match self.pending() {
            Some(input) => {
                self.acknowledge(input);
                POLL_FOUND | input
            }
            None => 0,
        }
    }

    /// The trigger modes, as the ELCR shows them: a bit is set for level.
    pub const fn trigger_modes(&self) -> u8 {
        self.level_triggered
    }

    /// Sets the trigger modes of the inputs that can be either.
    pub const fn set_trigger_modes(&mut self, value: u8) {
        self.level_triggered = value & self.level_capable;
    }

    /// How far `input` is from the highest priority.
    const fn rank(&self, input: u8) -> u8 {
        input.wrapping_sub(self.first) & 7
    }

    /// The input of highest priority in `inputs`.
    const fn highest(&self, inputs: u8) -> Option<u8> {
        if inputs == 0 {
            return None;
        }
        let rank = inputs.rotate_right(self.first as u32).trailing_zeros() as u8;
        Some((rank + self.first) & 7)
    }
}

const fn bit(input: u8) -> u8 {
    1 << (input & 7)
}
