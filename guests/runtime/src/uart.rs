//! Output through the 16550 UART at 0x3f8, without interrupts.

use core::fmt;

use crate::instruction::{in_byte, out_byte};

/// The byte received, or to be sent; with the divisor latch open, the divisor.
pub const DATA: u16 = 0x3f8;
/// Which events interrupt.
pub const INTERRUPT_ENABLE: u16 = DATA + 1;
/// What has interrupted, when read.
pub const IDENTIFICATION: u16 = DATA + 2;
const FIFO_CONTROL: u16 = IDENTIFICATION;
const LINE_CONTROL: u16 = DATA + 3;
/// Outputs of the modem, and loopback.
pub const MODEM_CONTROL: u16 = DATA + 4;
/// Whether there is a byte, and room for one.
pub const LINE_STATUS: u16 = DATA + 5;
/// Inputs of the modem.
pub const MODEM_STATUS: u16 = DATA + 6;

/// Of [`INTERRUPT_ENABLE`]: a byte received.
pub const ON_DATA: u8 = 1;
/// Of [`LINE_STATUS`]: a byte received.
pub const DATA_READY: u8 = 1;
const DIVISOR_LATCH: u8 = 0x80;
const EIGHT_BITS: u8 = 0x03;
const TRANSMITTER_EMPTY: u8 = 0x20;

/// Sets 115200 baud, 8 data bits, no parity, FIFOs on, interrupts off.
pub fn init() {
    out_byte(INTERRUPT_ENABLE, 0);
    out_byte(LINE_CONTROL, DIVISOR_LATCH | EIGHT_BITS);
    out_byte(DATA, 1);
    out_byte(INTERRUPT_ENABLE, 0);
    out_byte(LINE_CONTROL, EIGHT_BITS);
    out_byte(FIFO_CONTROL, 0x07);
    out_byte(MODEM_CONTROL, 0x03);
}

/// The UART as a [`fmt::Write`] that never fails.
pub struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while in_byte(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {}
            out_byte(DATA, byte);
        }
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => {{
        use ::core::fmt::Write as _;
        let _ = ::core::writeln!($crate::uart::Uart, $($arguments)*); // the UART takes everything
    }};
}
