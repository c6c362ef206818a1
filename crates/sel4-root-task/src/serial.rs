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

    /// Waits until the transmitter has passed on everything, but not for ever: somebody
    /// may have stopped taking it. To be called before the machine is switched off, or
    /// up to 16 bytes may be lost.
    ///
    /// # Errors
    ///
    /// Those of an access outside the capability's range.
    pub fn drain(&self) -> Result<()> {
        drained(|| self.ports.ioport_in8(self.base + register::LINE_STATUS))
    }

    fn write(&self, register: u16, value: u8) -> Result<()> {
        self.ports.ioport_out8(self.base + register, value)
    }
}

/// Looks of [`SerialPort::drain`] at most: about a tenth of a second.
const PATIENCE: u32 = 200_000;

/// Asks for the line status until it says that FIFO and shift register are empty.
fn drained(mut line_status: impl FnMut() -> Result<u8>) -> Result<()> {
    const EMPTY: u8 = 1 << 6;
    for _ in 0..PATIENCE {
        if line_status()? & EMPTY != 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING_LEFT: u8 = 0x60;
    const ROOM_BUT_SHIFTING: u8 = 0x20;

    /// How often the line status is asked for, if it is `status` for `looks` times.
    fn looks(status: u8, looks: u32) -> u32 {
        let mut asked = 0;
        let drained = drained(|| {
            asked += 1;
            Ok(if asked <= looks { status } else { NOTHING_LEFT })
        });
        assert_eq!(drained, Ok(()));
        asked
    }

    #[test]
    fn room_for_more_is_not_enough() {
        assert_eq!(looks(ROOM_BUT_SHIFTING, 5), 6);
        assert_eq!(looks(NOTHING_LEFT, 0), 1);
    }

    #[test]
    fn a_port_that_is_not_there_reads_as_ones() {
        assert_eq!(looks(0xff, 9), 1);
    }

    #[test]
    fn it_gives_up_where_nobody_takes_the_bytes() {
        assert_eq!(looks(0, u32::MAX), PATIENCE);
    }
}
