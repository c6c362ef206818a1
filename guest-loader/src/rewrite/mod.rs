//! Rewriting: sensitive instructions of an image become traps of the same length.
//!
//! Job: turn an ELF file into one in which every instruction that would not
//! trap at CPL 3 traps, and a *side table* that says by address what stood
//! there. The shadow-server executes the entry of the address where a vCPU
//! trapped; it fetches and decodes nothing.
//!
//! ```text
//! ELF ──► Code::read ──► plan ──► patch ──► verify ──► ELF, side table
//!            │ doubts ──► refusal with addresses and ways out
//! ```
//!
//! Invariants, checked by [`verify`](verify::verify) on every image:
//! - The file keeps its size, and with the side table's bytes put back it is
//!   the original, byte for byte.
//! - Decoded again, every instruction is the original's, or a trap whose
//!   address is in the table; none that needed rewriting is left.

mod entry;
mod inspect;
mod means;
mod plan;
mod verify;

pub use inspect::{Fate, Finding, Inspection, inspect};
pub use means::{KernelSupport, Means};

use system::compiled::{MAX_REWRITES, Platform, Rewrite};

use crate::Problem;
use crate::code::Code;
use crate::elf::Elf;
use plan::Plan;

/// A rewritten image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// What stood where, by ascending address.
    pub table: Vec<Rewrite>,
    /// Instructions whose bytes were changed.
    pub changed: usize,
}

/// Rewrites the image `bytes` for `platform`.
///
/// # Errors
/// [`Problem::CodeOrData`] with every address in doubt, and what
/// [`Elf::parse`] and [`Layout::read`](crate::code::Layout::read) refuse.
pub fn rewrite(
    bytes: &[u8],
    platform: Platform,
    kernel: KernelSupport,
) -> Result<Rewritten, Problem> {
    let elf = Elf::parse(bytes)?;
    let code = Code::read(bytes, &elf, entry::address(&elf, platform))?;
    let plan = Plan::new(&code, &elf, kernel);
    if !plan.doubts.is_empty() {
        return Err(Problem::CodeOrData { places: plan.describe_doubts(&code) });
    }
    let mut patched = bytes.to_vec();
    for step in &plan.steps {
        let original = &step.bytes[..];
        if let Some(place) = step.file_range(&elf).and_then(|range| patched.get_mut(range)) {
            place.copy_from_slice(&step.means.bytes(original));
        }
    }
    let table = plan.table(&elf, platform);
    if table.len() > MAX_REWRITES {
        let (count, limit) = (table.len(), MAX_REWRITES);
        return Err(Problem::TooManyRewrites { count, limit });
    }
    verify::verify(bytes, &patched, &code, &plan)?;
    let changed = plan.steps.iter().filter(|step| step.means != Means::Itself);
    Ok(Rewritten { bytes: patched, table, changed: changed.count() })
}
