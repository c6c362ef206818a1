//! A 16550 UART as the guest sees it: output only, polled.
//!
//! Registers as in the PC16550D data sheet (table II). The transmitter is
//! always empty; nothing is ever received.

/// Ports of the UART: COM1.
pub const FIRST_PORT: u16 = 0x3f8;
/// How many.
pub const PORTS: u16 = 8;

const DIVISOR_LATCH: u8 = 0x80;
const TRANSMITTER_EMPTY: u8 = 0x60;
const NO_INTERRUPT: u8 = 0x01;
const FIFOS_ON: u8 = 0xc0;
/// Data carrier detect, data set ready, clear to send.
const MODEM_READY: u8 = 0xb0;

/// Its registers.
pub struct Uart {
    interrupt_enable: u8,
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
}

impl Uart {
    /// After reset.
    pub const fn new() -> Self {
        Self {
            interrupt_enable: 0,
            fifo_control: 0,
            line_control: 0,
            modem_control: 0,
            scratch: 0,
            divisor: [12, 0],
        }
    }

    const fn latch(&self) -> bool {
        self.line_control & DIVISOR_LATCH != 0
    }

    /// Reads register `register` (0 to 7).
    pub const fn read(&self, register: u16) -> u8 {
        match register {
            0 if self.latch() => self.divisor[0],
            1 if self.latch() => self.divisor[1],
            0 => 0,
            1 => self.interrupt_enable,
            2 if self.fifo_control & 1 != 0 => NO_INTERRUPT | FIFOS_ON,
            2 => NO_INTERRUPT,
            3 => self.line_control,
            4 => self.modem_control,
            5 => TRANSMITTER_EMPTY,
            6 => MODEM_READY,
            _ => self.scratch,
        }
    }

    /// Writes register `register`; gives the byte that goes out, if any.
    pub const fn write(&mut self, register: u16, value: u8) -> Option<u8> {
        match register {
            0 if self.latch() => self.divisor[0] = value,
            1 if self.latch() => self.divisor[1] = value,
            0 => return Some(value),
            1 => self.interrupt_enable = value & 0x0f,
            2 => self.fifo_control = value,
            3 => self.line_control = value,
            4 => self.modem_control = value & 0x1f,
            7 => self.scratch = value,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_out_unless_the_latch_is_open() {
        let mut uart = Uart::new();
        assert_eq!(uart.write(0, b'x'), Some(b'x'));
        uart.write(3, DIVISOR_LATCH);
        assert_eq!(uart.write(0, 1), None);
        assert_eq!(uart.read(0), 1);
        uart.write(3, 3);
        assert_eq!(uart.read(0), 0);
    }

    #[test]
    fn drivers_find_an_idle_transmitter() {
        assert_eq!(Uart::new().read(5) & 0x20, 0x20);
    }
}
