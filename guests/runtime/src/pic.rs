//! The two 8259A interrupt controllers: vectors 32 to 47, everything masked
//! until [`unmask`].

use crate::instruction::{in_byte, out_byte};

/// Vector of input 0; the others follow.
pub const FIRST_VECTOR: u8 = 32;
/// Command ports of the two controllers; the data ports follow them.
const COMMANDS: [u16; 2] = [0x20, 0xa0];
/// The input of the first that the second is connected to.
const CASCADE: u8 = 2;
const END: u8 = 0x20;

/// Sets both up.
pub fn init() {
    let wiring = [1 << CASCADE, CASCADE];
    for (index, command) in COMMANDS.into_iter().enumerate() {
        out_byte(command, 0x11);
        out_byte(command + 1, FIRST_VECTOR + 8 * index as u8);
        out_byte(command + 1, wiring[index]);
        out_byte(command + 1, 0x01);
        out_byte(command + 1, 0xff);
    }
    unmask(CASCADE);
}

/// Command port and bit of input `irq`.
const fn place(irq: u8) -> (u16, u8) {
    (COMMANDS[(irq >> 3 & 1) as usize], 1 << (irq & 7))
}

/// Lets input `irq` through.
pub fn unmask(irq: u8) {
    let (command, bit) = place(irq);
    out_byte(command + 1, in_byte(command + 1) & !bit);
}

/// Holds input `irq` back.
pub fn mask(irq: u8) {
    let (command, bit) = place(irq);
    out_byte(command + 1, in_byte(command + 1) | bit);
}

/// Ends the interrupt of input `irq`.
pub fn end(irq: u8) {
    if irq & 8 != 0 {
        out_byte(COMMANDS[1], END);
    }
    out_byte(COMMANDS[0], END);
}

/// Whether input `irq` asks for an interrupt.
pub fn is_requested(irq: u8) -> bool {
    read(irq, 0x0a)
}

/// Whether an interrupt of input `irq` has not ended.
pub fn is_in_service(irq: u8) -> bool {
    read(irq, 0x0b)
}

fn read(irq: u8, select: u8) -> bool {
    let (command, bit) = place(irq);
    out_byte(command, select);
    in_byte(command) & bit != 0
}
