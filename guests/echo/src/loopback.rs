//! The UART's interrupts, in loopback mode: what goes out comes in.

use guest_runtime::instruction::{in_byte, out_byte};
use guest_runtime::println;
use guest_runtime::uart::{
    DATA, DATA_READY, IDENTIFICATION, INTERRUPT_ENABLE, LINE_STATUS, MODEM_CONTROL, MODEM_STATUS,
    ON_DATA,
};

const LOOPBACK: u8 = 0x10;
const READY: u8 = 0x0b;
const ON_EMPTY: u8 = 2;

/// Whether causes and status come as they should. Not where somebody has
/// typed already, whose bytes would be in between.
pub fn check() -> bool {
    out_byte(MODEM_CONTROL, LOOPBACK | READY);
    if in_byte(LINE_STATUS) & DATA_READY != 0 {
        out_byte(MODEM_CONTROL, READY);
        return true;
    }
    let modem = in_byte(MODEM_STATUS) & 0xf0;
    out_byte(INTERRUPT_ENABLE, ON_EMPTY);
    let empty = [in_byte(IDENTIFICATION), in_byte(IDENTIFICATION)];
    out_byte(INTERRUPT_ENABLE, ON_DATA);
    // Enough for the trigger level of one byte.
    out_byte(DATA, b'u');
    let data = [in_byte(IDENTIFICATION), in_byte(LINE_STATUS) & DATA_READY];
    let byte = in_byte(DATA);
    let after = [in_byte(IDENTIFICATION), in_byte(LINE_STATUS) & DATA_READY];
    out_byte(INTERRUPT_ENABLE, 0);
    out_byte(MODEM_CONTROL, READY);
    println!(
        "modem {modem:#04x}, transmitter {empty:02x?}, receiver {data:02x?} then {after:02x?}"
    );
    byte == b'u' && empty == [0xc2, 0xc1] && data == [0xc4, 1] && after == [0xc1, 0]
}
