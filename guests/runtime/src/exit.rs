//! The end of a guest.

use crate::instruction::{halt, out_byte};

/// Umbriel's exit port; QEMU's `isa-debug-exit` sits at the same place bare.
const EXIT_PORT: u16 = 0xf4;

/// Ends the guest; 0 is success.
pub fn exit(status: u8) -> ! {
    out_byte(EXIT_PORT, status);
    halt()
}
