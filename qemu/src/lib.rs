//! Machine profiles and the QEMU runner.
//!
//! Job: turn "boot this on that machine" into a QEMU command line, run it, and
//! deliver what the machine writes to its serial ports as it comes. A
//! [`Profile`] is a data file of `qemu/machines/`; a [`Machine`] is a profile
//! with memory, timing and something to boot; a [`Running`] is its process.
//!
//! Neighbours: the tool decides what to boot and what the output means; this
//! crate knows QEMU's options and nothing of Umbriel.
//!
//! Invariants:
//! - A QEMU that was started here does not outlive its [`Running`].
//! - Serial ports are connected socket pairs handed to QEMU as its file
//!   descriptors 0 and 1: no path, no race, and no byte of the ports mixes
//!   with QEMU's own messages.

#![forbid(unsafe_code)]

mod command;
mod error;
mod machine;
mod profile;
mod running;

pub use command::CommandLine;
pub use error::Error;
pub use machine::{Boot, Machine, Timing};
pub use profile::Profile;
pub use running::{Ended, Event, Keyboard, Port, Running};

/// The status byte that a guest wrote to the exit port of the machine `bare`,
/// from QEMU's exit status `(byte << 1) | 1`; 0 if the guest switched the
/// machine off; `None` if QEMU did not end in one of these ways.
pub fn bare_exit_byte(qemu_status: i32) -> Option<u8> {
    if qemu_status == 0 {
        return Some(0);
    }
    let byte = u8::try_from(qemu_status >> 1).ok()?;
    (qemu_status & 1 == 1).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_bytes_are_undone() {
        assert_eq!(bare_exit_byte(1), Some(0));
        assert_eq!(bare_exit_byte(255), Some(127));
        assert_eq!(bare_exit_byte(0), Some(0)); // switched off, or reset
        assert_eq!(bare_exit_byte(-1), None); // killed
    }
}
