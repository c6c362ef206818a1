//! Boot information at 0x10000: `struct hvt_boot_info`, then the manifest,
//! then the command line (`tenders/hvt/hvt_boot_info.c`).

use x86::Gpa;

use super::{AbiVersion, Manifest};
use crate::{GuestPages, Problem};

/// Where it begins; the guest gets this address in RDI.
pub const BASE: u64 = 0x1_0000;
/// `HVT_CMDLINE_SIZE`, the closing NUL included.
const COMMAND_LINE_SIZE: u64 = 8192;
/// Offset of `cpu_cycle_freq`.
const CYCLE_FREQUENCY: u64 = 16;

impl AbiVersion {
    /// Bytes of the structure. Version 2 adds host and guest features and the
    /// network ring; all zero, they say that none is offered.
    const fn boot_info_size(self) -> u64 {
        match self {
            Self::V1 => 40,
            Self::V2 => 56,
        }
    }
}

/// Writes everything but the TSC frequency and gives the address where that
/// goes at boot.
///
/// # Errors
/// [`Problem::ArgumentsTooLong`] or [`Problem::ArgumentNul`].
pub fn write(
    pages: &mut GuestPages,
    version: AbiVersion,
    image_end: u64,
    manifest: &Manifest,
    arguments: &[String],
) -> Result<Gpa, Problem> {
    let command_line = crate::detect::join_arguments(arguments, COMMAND_LINE_SIZE - 1)?;
    let manifest = manifest.to_bytes();
    let manifest_at = BASE + version.boot_info_size();
    let command_line_at = manifest_at + manifest.len() as u64;
    let words = [pages.size(), image_end, 0, command_line_at, manifest_at];
    for (offset, word) in (0..).step_by(8).zip(words) {
        pages.write_u64(Gpa::new(BASE + offset), word)?;
    }
    pages.write(Gpa::new(manifest_at), &manifest)?;
    pages.write(Gpa::new(command_line_at), command_line.as_bytes())?;
    Ok(Gpa::new(BASE + CYCLE_FREQUENCY))
}
