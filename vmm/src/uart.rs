//! A 16550A UART as the guest sees it.
//!
//! Registers as in the PC16550D data sheet (National Semiconductor, 1995,
//! table II). The transmitter is always empty: what is written is out at
//! once. Received bytes wait in a FIFO of 16; one that is below its trigger
//! level times out at once. In loopback mode what goes out comes in.

use heapless::Deque;

/// Ports of the UART: COM1.
pub const FIRST_PORT: u16 = 0x3f8;
/// How many.
pub const PORTS: u16 = 8;
/// Its input of the interrupt controllers.
pub const IRQ: u8 = 4;
/// Bytes that the receiver holds.
const FIFO_BYTES: usize = 16;

/// Line control: the divisor instead of data.
const DIVISOR_LATCH: u8 = 0x80;

/// Interrupt enable and cause: received data.
const ON_DATA: u8 = 0x01;
/// Interrupt enable: transmitter empty.
const ON_EMPTY: u8 = 0x02;
/// Interrupt enable: errors of the line.
const ON_LINE: u8 = 0x04;

/// Causes, in the order of their priority.
const NO_INTERRUPT: u8 = 0x01;
const LINE_ERROR: u8 = 0x06;
const DATA: u8 = 0x04;
const TIMEOUT: u8 = 0x0c;
const EMPTY: u8 = 0x02;
/// Identification: FIFOs are on.
const FIFOS_ON: u8 = 0xc0;

/// FIFO control.
const FIFO_ENABLE: u8 = 0x01;
const CLEAR_RECEIVER: u8 = 0x02;
const FIFO_KEPT: u8 = 0xc9;

/// Line status.
const DATA_READY: u8 = 0x01;
const OVERRUN: u8 = 0x02;
const TRANSMITTER_EMPTY: u8 = 0x60;

/// Modem control.
const LOOPBACK: u8 = 0x10;
/// Modem status: data carrier detect, data set ready, clear to send.
const MODEM_READY: u8 = 0xb0;

/// Its registers.
pub struct Uart {
    interrupt_enable: u8,
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
    received: Deque<u8, FIFO_BYTES>,
    overrun: bool,
    /// The transmitter became empty, and nobody knows yet.
    became_empty: bool,
}

impl Uart {
    /// After reset.
    pub const fn new() -> Self {
        Self {
            interrupt_enable: 0,
            fifo_control: 0,
            line_control: 0,
            modem_control: 0x08,
            scratch: 0,
            divisor: [12, 0],
            received: Deque::new(),
            overrun: false,
            became_empty: false,
        }
    }

    const fn latch(&self) -> bool {
        self.line_control & DIVISOR_LATCH != 0
    }

    const fn has_fifos(&self) -> bool {
        self.fifo_control & FIFO_ENABLE != 0
    }

    /// Bytes that the receiver holds at most.
    const fn capacity(&self) -> usize {
        if self.has_fifos() { FIFO_BYTES } else { 1 }
    }

    /// Bytes that can still be received; none in loopback mode.
    pub fn room(&self) -> usize {
        if self.modem_control & LOOPBACK != 0 {
            return 0;
        }
        self.capacity().saturating_sub(self.received.len())
    }

    /// A byte arrives; one that finds no room is lost.
    pub fn receive(&mut self, byte: u8) {
        if self.received.len() >= self.capacity() || self.received.push_back(byte).is_err() {
            self.overrun = true;
        }
    }

    /// The cause of highest priority that is enabled.
    fn cause(&self) -> u8 {
        let enabled = self.interrupt_enable;
        if enabled & ON_LINE != 0 && self.overrun {
            LINE_ERROR
        } else if enabled & ON_DATA != 0 && !self.received.is_empty() {
            if self.has_fifos() && self.received.len() < self.trigger_level() {
                TIMEOUT
            } else {
                DATA
            }
        } else if enabled & ON_EMPTY != 0 && self.became_empty {
            EMPTY
        } else {
            NO_INTERRUPT
        }
    }

    const fn trigger_level(&self) -> usize {
        match self.fifo_control >> 6 {
            0 => 1,
            1 => 4,
            2 => 8,
            _ => 14,
        }
    }

    /// The level of its interrupt line.
    pub fn interrupts(&self) -> bool {
        self.cause() != NO_INTERRUPT
    }

    /// Reads register `register` (0 to 7).
    pub fn read(&mut self, register: u16) -> u8 {
        match register {
            0 if self.latch() => self.divisor[0],
            1 if self.latch() => self.divisor[1],
            0 => self.received.pop_front().unwrap_or(0),
            1 => self.interrupt_enable,
            2 => self.identify(),
            3 => self.line_control,
            4 => self.modem_control,
            5 => self.line_status(),
            6 => self.modem_status(),
            _ => self.scratch,
        }
    }

    /// Reading the cause ends the one of an empty transmitter.
    fn identify(&mut self) -> u8 {
        let cause = self.cause();
        if cause == EMPTY {
            self.became_empty = false;
        }
        if self.has_fifos() { cause | FIFOS_ON } else { cause }
    }

    fn line_status(&mut self) -> u8 {
        let mut status = TRANSMITTER_EMPTY;
        if !self.received.is_empty() {
            status |= DATA_READY;
        }
        if core::mem::take(&mut self.overrun) {
            status |= OVERRUN;
        }
        status
    }

    /// In loopback mode the modem's inputs are its outputs: DTR is DSR, RTS is
    /// CTS, OUT1 is RI, OUT2 is DCD.
    const fn modem_status(&self) -> u8 {
        let outputs = self.modem_control;
        if outputs & LOOPBACK == 0 {
            return MODEM_READY;
        }
        (outputs & 0x0c) << 4 | (outputs & 0x02) << 3 | (outputs & 0x01) << 5
    }

    /// Writes register `register`; gives the byte that goes out, if any.
    pub fn write(&mut self, register: u16, value: u8) -> Option<u8> {
        match register {
            0 if self.latch() => self.divisor[0] = value,
            1 if self.latch() => self.divisor[1] = value,
            0 => return self.send(value),
            1 => self.enable(value & 0x0f),
            2 => self.control_fifos(value),
            3 => self.line_control = value,
            4 => self.modem_control = value & 0x1f,
            7 => self.scratch = value,
            _ => {}
        }
        None
    }

    fn send(&mut self, byte: u8) -> Option<u8> {
        self.became_empty = true;
        if self.modem_control & LOOPBACK != 0 {
            self.receive(byte);
            return None;
        }
        Some(byte)
    }

    /// Enabling the interrupt of an empty transmitter raises it.
    const fn enable(&mut self, enabled: u8) {
        if enabled & !self.interrupt_enable & ON_EMPTY != 0 {
            self.became_empty = true;
        }
        self.interrupt_enable = enabled;
    }

    /// Turning FIFOs on or off empties them.
    fn control_fifos(&mut self, value: u8) {
        let turned = (value ^ self.fifo_control) & FIFO_ENABLE != 0;
        if turned || value & CLEAR_RECEIVER != 0 {
            self.received.clear();
        }
        self.fifo_control = if value & FIFO_ENABLE != 0 { value & FIFO_KEPT } else { 0 };
    }
}

#[cfg(test)]
mod tests;
