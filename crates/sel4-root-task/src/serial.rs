//! A 16550 serial port behind an I/O port capability, by polling.

use sel4::{Result, cap};

/// Offsets of the registers from the base port.
mod register {
    pub(super) const DATA: u16 = 0;
    pub(super) const INTERRUPT_ENABLE: u16 = 1;
    pub(super) const FIFO_CONTROL: u16 = 2;
    pub(super) const LINE_CONTROL: u16 = 3;
    pub(super) const MODEM_CONTROL: u16 = 4;
    pub(super) const LINE_STATUS: u16 = 5;
}

/// A transmitter for text.
#[derive(Debug, Clone, Copy)]
pub struct SerialPort {
    ports: cap::IOPort,
    base: u16,
}

impl SerialPort {
    /// First port of COM1.
    pub const COM1: u16 = 0x3f8;
    /// First port of COM2.
    pub const COM2: u16 = 0x2f8;

    /// The port at `base`; `ports` covers `base` to `base + 7`.
    pub const fn new(ports: cap::IOPort, base: u16) -> Self {
        Self { ports, base }
    }

    /// Sets 115200 baud, 8 data bits, no parity, FIFOs on, interrupts off.
    ///
    /// # Errors
    ///
    /// Those of an access outside the capability's range.
    pub fn initialise(&self) -> Result<()> {
        const DIVISOR_LATCH: u8 = 0x80;
        const EIGHT_BITS: u8 = 0x03;
        self.write(register::INTERRUPT_ENABLE, 0)?;
        self.write(register::LINE_CONTROL, DIVISOR_LATCH | EIGHT_BITS)?;
        self.write(register::DATA, 1)?;
        self.write(register::INTERRUPT_ENABLE, 0)?;
        self.write(register::LINE_CONTROL, EIGHT_BITS)?;
        self.write(register::FIFO_CONTROL, 0x07)?;
        self.write(register::MODEM_CONTROL, 0x03)
    }

    /// Sends bytes, each when the transmitter has room.
    ///
    /// # Errors
    ///
    /// Those of an access outside the capability's range.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        const ROOM: u8 = 1 << 5;
        for byte in bytes {
            while self.ports.ioport_in8(self.base + register::LINE_STATUS)? & ROOM == 0 {}
            self.write(register::DATA, *byte)?;
        }
        Ok(())
    }

    fn write(&self, register: u16, value: u8) -> Result<()> {
        self.ports.ioport_out8(self.base + register, value)
    }
}
