//! Output through the 16550 UART at 0x3f8, without interrupts.

use core::fmt;

use crate::instruction::{in_byte, out_byte};

const BASE: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = BASE + 1;
const FIFO_CONTROL: u16 = BASE + 2;
const LINE_CONTROL: u16 = BASE + 3;
const MODEM_CONTROL: u16 = BASE + 4;
const LINE_STATUS: u16 = BASE + 5;

const DIVISOR_LATCH: u8 = 0x80;
const EIGHT_BITS: u8 = 0x03;
const TRANSMITTER_EMPTY: u8 = 0x20;

/// Sets 115200 baud, 8 data bits, no parity, FIFOs on, interrupts off.
pub fn init() {
    out_byte(INTERRUPT_ENABLE, 0);
    out_byte(LINE_CONTROL, DIVISOR_LATCH | EIGHT_BITS);
    out_byte(BASE, 1);
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
            out_byte(BASE, byte);
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
