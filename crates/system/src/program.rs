//! Process images: from an ELF file to page-aligned segments.
//!
//! Job: everything about a process's ELF is decided on the host, so that the
//! root task only copies pages. A [`Program`] is what its `PT_LOAD` headers
//! say, widened to whole pages.
//!
//! Invariants: segments ascend, never share a page, lie in the map's image
//! region, and none is both writable and executable.

use std::fmt;

use object::LittleEndian as LE;
use object::elf::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_TLS};
use object::elf::{FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::address_map::{IMAGE, IMAGE_END};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Pages of a process's stack.
pub const STACK_PAGES: u32 = 16;

/// A run of pages of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramSegment {
    /// First address, a multiple of 4096.
    pub address: u64,
    /// Bytes in memory, a multiple of 4096.
    pub memory_bytes: u64,
    /// What the first bytes hold; the rest is zero.
    pub bytes: Vec<u8>,
    /// Whether the process may write it.
    pub writable: bool,
}

/// A process image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Entry point, inside an executable segment.
    pub entry: u64,
    /// Segments in ascending order.
    pub segments: Vec<ProgramSegment>,
    /// Pages of its stack.
    pub stack_pages: u32,
}

/// Why an ELF file cannot be a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// It cannot be read as ELF64; the reader's words.
    NotElf64(String),
    /// It is not a little-endian x86-64 executable with fixed addresses.
    NotStaticExecutable,
    /// It needs a dynamic linker or thread-local storage; the header's type.
    Unsupported(u32),
    /// It has no segment to load.
    Empty,
    /// A segment's bytes lie outside the file, or it has more of them than memory.
    Truncated {
        /// The segment's address.
        address: u64,
    },
    /// A segment is both writable and executable.
    WritableAndExecutable {
        /// The segment's address.
        address: u64,
    },
    /// A segment lies outside the region for process images.
    OutsideRegion {
        /// The segment's address.
        address: u64,
        /// One past its last byte.
        end: u64,
    },
    /// A segment shares a page with the one before, or lies below it.
    Overlap {
        /// The segment's address.
        address: u64,
    },
    /// The entry point lies in no executable segment.
    Entry(u64),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf64(why) => write!(f, "not an ELF64 file: {why}"),
            Self::NotStaticExecutable => f.write_str(
                "not a little-endian x86-64 executable with fixed addresses; link it with --no-pie",
            ),
            Self::Unsupported(kind) => write!(
                f,
                "program header of type {kind:#x}: processes have no dynamic linker and no thread-local storage"
            ),
            Self::Empty => f.write_str("no segment to load"),
            Self::Truncated { address } => write!(
                f,
                "segment at {address:#x}: its bytes lie outside the file, or are more than its memory"
            ),
            Self::WritableAndExecutable { address } => write!(
                f,
                "segment at {address:#x} is both writable and executable; the linker script must part code from data"
            ),
            Self::OutsideRegion { address, end } => write!(
                f,
                "segment {address:#x}..{end:#x} lies outside {IMAGE:#x}..{IMAGE_END:#x}, the region for process images"
            ),
            Self::Overlap { address } => write!(
                f,
                "segment at {address:#x} lies below the one before or shares a page with it; align segments to 4 KiB"
            ),
            Self::Entry(entry) => write!(f, "entry point {entry:#x} lies in no executable segment"),
        }
    }
}

impl std::error::Error for ProgramError {}

impl Program {
    /// Reads the ELF file `bytes`.
    ///
    /// # Errors
    /// The first rule that the file breaks.
    pub fn from_elf(bytes: &[u8]) -> Result<Self, ProgramError> {
        let (header, headers) = program_headers(bytes)?;
        let mut segments: Vec<ProgramSegment> = Vec::new();
        let mut executable = Vec::new();
        for load in headers {
            match load.p_type(LE) {
                PT_LOAD if load.p_memsz(LE) > 0 => {}
                kind @ (PT_INTERP | PT_DYNAMIC | PT_TLS) => {
                    return Err(ProgramError::Unsupported(kind));
                }
                _ => continue,
            }
            let segment = segment(load, bytes)?;
            let below = segments.last().map_or(IMAGE, |last| last.address + last.memory_bytes);
            if segment.address < below {
                return Err(ProgramError::Overlap { address: segment.address });
            }
            if load.p_flags(LE) & PF_X != 0 {
                executable.push(segment.address..segment.address + segment.memory_bytes);
            }
            segments.push(segment);
        }
        if segments.is_empty() {
            return Err(ProgramError::Empty);
        }
        let entry = header.e_entry(LE);
        if !executable.iter().any(|range| range.contains(&entry)) {
            return Err(ProgramError::Entry(entry));
        }
        Ok(Self { entry, segments, stack_pages: STACK_PAGES })
    }

    /// Pages that the process's image and stack take.
    pub fn pages(&self) -> u64 {
        let image: u64 = self.segments.iter().map(|segment| segment.memory_bytes / PAGE).sum();
        image + u64::from(self.stack_pages)
    }
}

type Headers<'a> = (&'a FileHeader64<LE>, &'a [ProgramHeader64<LE>]);

/// The headers of an ELF64 executable for x86-64 with fixed addresses.
pub(crate) fn program_headers(bytes: &[u8]) -> Result<Headers<'_>, ProgramError> {
    let refused = |error: object::Error| ProgramError::NotElf64(error.to_string());
    let header = FileHeader64::<LE>::parse(bytes).map_err(refused)?;
    let fits = header.endian().is_ok_and(|endian: LE| endian == LE)
        && header.e_type(LE) == ET_EXEC
        && header.e_machine(LE) == EM_X86_64;
    if !fits {
        return Err(ProgramError::NotStaticExecutable);
    }
    Ok((header, header.program_headers(LE, bytes).map_err(refused)?))
}

fn segment(load: &ProgramHeader64<LE>, file: &[u8]) -> Result<ProgramSegment, ProgramError> {
    let (address, memory) = (load.p_vaddr(LE), load.p_memsz(LE));
    let flags = load.p_flags(LE);
    if flags & PF_W != 0 && flags & PF_X != 0 {
        return Err(ProgramError::WritableAndExecutable { address });
    }
    let end = address.saturating_add(memory);
    if address < IMAGE || end > IMAGE_END {
        return Err(ProgramError::OutsideRegion { address, end });
    }
    let content = load
        .data(LE, file)
        .ok()
        .filter(|content| content.len() as u64 <= memory)
        .ok_or(ProgramError::Truncated { address })?;
    let start = address & !(PAGE - 1);
    let mut bytes = vec![0; (address - start) as usize];
    bytes.extend_from_slice(content);
    Ok(ProgramSegment {
        address: start,
        memory_bytes: end.next_multiple_of(PAGE) - start,
        bytes,
        writable: flags & PF_W != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Part, elf};

    const READ: u32 = 4;
    const WRITE: u32 = PF_W | READ;
    const EXECUTE: u32 = PF_X | READ;

    fn text() -> Part {
        Part::load(0x40_0000, EXECUTE, &[0x90; 100], 100)
    }

    #[test]
    fn segments_are_widened_to_pages() {
        let data = Part::load(0x40_1010, WRITE, &[1, 2, 3], 0x2000);
        let program = Program::from_elf(&elf(0x40_0010, &[text(), data])).unwrap();
        assert_eq!(program.entry, 0x40_0010);
        let [text, data] = &program.segments[..] else { panic!("{program:?}") };
        assert_eq!((text.address, text.memory_bytes, text.writable), (0x40_0000, 0x1000, false));
        assert_eq!((data.address, data.memory_bytes, data.writable), (0x40_1000, 0x3000, true));
        assert_eq!(data.bytes.len(), 0x13);
        assert_eq!(data.bytes[..0x10], [0; 16], "bytes in front of a segment are zero");
        assert_eq!(data.bytes[0x10..], [1, 2, 3]);
        assert_eq!(program.pages(), 4 + u64::from(STACK_PAGES));
    }

    #[test]
    fn segments_without_memory_are_skipped() {
        let empty = Part::load(0, READ, &[], 0);
        assert_eq!(Program::from_elf(&elf(0x40_0000, &[empty, text()])).unwrap().segments.len(), 1);
    }

    #[test]
    fn bad_files_are_refused() {
        let refused = |entry, parts: &[Part]| Program::from_elf(&elf(entry, parts)).unwrap_err();
        let load = Part::load;
        assert_eq!(refused(0, &[]), ProgramError::Empty);
        assert_eq!(
            refused(0x40_0000, &[load(0x40_0000, PF_X | PF_W, &[0], 1)]),
            ProgramError::WritableAndExecutable { address: 0x40_0000 }
        );
        assert_eq!(
            refused(0x40_0000, &[text(), load(0x40_0800, WRITE, &[0], 1)]),
            ProgramError::Overlap { address: 0x40_0000 },
            "two segments in one page"
        );
        assert_eq!(
            refused(0x40_0000, &[load(0x3f_f000, EXECUTE, &[0], 1)]),
            ProgramError::OutsideRegion { address: 0x3f_f000, end: 0x3f_f001 }
        );
        assert_eq!(
            refused(0x40_0000, &[load(0x40_0000, EXECUTE, &[0], u64::MAX)]),
            ProgramError::OutsideRegion { address: 0x40_0000, end: u64::MAX }
        );
        assert_eq!(
            refused(0x40_0000, &[load(0x40_0000, EXECUTE, &[0; 9], 8)]),
            ProgramError::Truncated { address: 0x40_0000 }
        );
        assert_eq!(refused(0x40_1000, &[text()]), ProgramError::Entry(0x40_1000));
        assert_eq!(
            refused(0x40_1000, &[text(), load(0x40_1000, WRITE, &[0], 1)]),
            ProgramError::Entry(0x40_1000),
            "data is no place to start"
        );
        for kind in [PT_INTERP, PT_DYNAMIC, PT_TLS] {
            let part = Part { kind, ..text() };
            assert_eq!(refused(0x40_0000, &[text(), part]), ProgramError::Unsupported(kind));
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(Program::from_elf(b"#!/bin/sh\n"), Err(ProgramError::NotElf64(_))));
        let good = elf(0x40_0000, &[text()]);
        let with = |offset: usize, value: u8| {
            let mut file = good.clone();
            file[offset] = value;
            Program::from_elf(&file)
        };
        assert_eq!(with(16, 3), Err(ProgramError::NotStaticExecutable), "ET_DYN");
        assert_eq!(with(18, 3), Err(ProgramError::NotStaticExecutable), "EM_386");
        assert!(with(4, 1).is_err(), "32-bit");
        assert!(with(5, 2).is_err(), "big endian");
        for length in 0..good.len() {
            let _ = Program::from_elf(&good[..length]);
        }
    }
}
