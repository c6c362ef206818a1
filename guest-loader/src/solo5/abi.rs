//! The `ABI1` note: which target and interface version an image is linked for.

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::elf::Elf;
use crate::note::{Note, notes};
use crate::{MIB, Problem};

const NAME: &[u8] = b"Solo5";
/// "ABI1", little endian.
const ABI_NOTE: u32 = 0x3149_4241;
const ABI_NOTE_SIZE: u32 = 16;
/// Upstream lets the note be up to twice its size (`ABI1_NOTE_MAX_SIZE`).
const ABI_NOTE_MAXIMUM: u32 = 32;
const TARGET_HVT: u32 = 1;

/// A version of the hvt interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbiVersion {
    /// Solo5 v0.5 to v0.7.
    V1,
    /// Solo5 v0.8 and later.
    V2,
}

impl AbiVersion {
    /// As in the note.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The most memory that the tender's page tables map, in bytes.
    pub const fn maximum_memory(self) -> u64 {
        match self {
            Self::V1 => 1024 * MIB,
            Self::V2 => 4096 * MIB,
        }
    }
}

/// Whether any note is named "Solo5".
pub fn has_notes(elf: &Elf<'_>) -> bool {
    notes(elf).any(|note| note.name == NAME)
}

/// The first Solo5 note of type `kind`.
pub(super) fn find<'a>(elf: &Elf<'a>, kind: u32) -> Option<Note<'a>> {
    notes(elf).find(|note| note.name == NAME && note.kind == kind)
}

/// Reads the interface version.
///
/// # Errors
/// [`Problem::NoAbiNote`], [`Problem::NoteSize`], [`Problem::WrongTarget`] or
/// [`Problem::WrongAbiVersion`].
pub fn version(elf: &Elf<'_>) -> Result<AbiVersion, Problem> {
    let note = find(elf, ABI_NOTE).ok_or(Problem::NoAbiNote)?;
    let wrong_size = Problem::NoteSize {
        segment: note.segment,
        note: "ABI1",
        size: note.descriptor_size,
        minimum: ABI_NOTE_SIZE,
        maximum: ABI_NOTE_MAXIMUM,
    };
    if note.descriptor_size > ABI_NOTE_MAXIMUM {
        return Err(wrong_size);
    }
    // Target, version, two reserved words.
    let words = note.descriptor.and_then(|bytes| <[U32; 4]>::read_from_prefix(bytes).ok());
    let ([target, version, _, _], _) = words.ok_or(wrong_size)?;
    match (target.get(), version.get()) {
        (TARGET_HVT, 1) => Ok(AbiVersion::V1),
        (TARGET_HVT, 2) => Ok(AbiVersion::V2),
        (TARGET_HVT, version) => Err(Problem::WrongAbiVersion { version }),
        (target, _) => Err(Problem::WrongTarget { target }),
    }
}
