//! Puts the archive into the root task's ELF file.
//!
//! Job: seL4 hands only the first boot module to user space, so the archive
//! travels inside the root task. It becomes one read-only, page-aligned
//! `PT_LOAD` right behind `.bss`; the root task finds it at its own end
//! (`_end`) rounded up to a page.
//!
//! ```text
//! file:    ELF header | … as linked … | sections | pad | archive | program headers
//! memory:  text | rodata | data | bss | archive
//! ```
//!
//! The header table moves to the end of the file, where it can grow. Only
//! `PT_LOAD`s stay in it: seL4's boot loader copies *every* program header
//! (`elf_load` in `src/arch/x86/64/kernel/elf.c`), so a `PT_TLS` or `PT_NOTE`
//! could overwrite what a `PT_LOAD` brought.
//!
//! Invariants: nothing of the linked file moves, so symbols and sections stay
//! true; no gap lies before the archive, since seL4 makes a frame and a CNode
//! slot for every page between the lowest and the highest address.

use std::fmt;

use object::LittleEndian as LE;
use object::elf::{FileHeader64, PF_R, PT_LOAD, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{U16, U32, U64, pod};

use crate::program::{PAGE, ProgramError, program_headers};

const MAX_SEGMENTS: usize = 64;

/// Why an archive cannot be put into a root task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootImageError {
    /// The root task's file is not a static x86-64 executable with segments.
    Elf(ProgramError),
    /// A segment's address and memory size wrap.
    Wraps {
        /// The segment's address.
        address: u64,
    },
    /// The lowest segment does not start on a page, which seL4 refuses.
    Unaligned {
        /// Its address.
        address: u64,
    },
    /// There are more segments than anybody links.
    TooManySegments,
    /// The symbol `_end` is not the end of the last segment, so the root task
    /// would look for the archive at another address.
    EndSymbol {
        /// The symbol's value.
        symbol: u64,
        /// End of the last segment.
        end: u64,
    },
}

impl fmt::Display for RootImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf(error) => error.fmt(f),
            Self::Wraps { address } => {
                write!(f, "the segment at {address:#x} wraps around the address space")
            }
            Self::Unaligned { address } => {
                write!(f, "the lowest segment starts at {address:#x}, which is no multiple of 4096")
            }
            Self::TooManySegments => write!(f, "there are more than {MAX_SEGMENTS} segments"),
            Self::EndSymbol { symbol, end } => write!(
                f,
                "`_end` is {symbol:#x} but the last segment ends at {end:#x}; the root task would not find the archive"
            ),
        }
    }
}

impl std::error::Error for RootImageError {}

/// The root task `elf` with `archive` behind its last segment.
///
/// # Errors
/// The first rule that `elf` breaks.
pub fn with_archive(elf: &[u8], archive: &[u8]) -> Result<Vec<u8>, RootImageError> {
    let (header, headers) = program_headers(elf).map_err(RootImageError::Elf)?;
    let mut loads: Vec<ProgramHeader64<LE>> = headers
        .iter()
        .filter(|load| load.p_type(LE) == PT_LOAD && load.p_memsz(LE) > 0)
        .copied()
        .collect();
    if loads.len() > MAX_SEGMENTS {
        return Err(RootImageError::TooManySegments);
    }
    let address = archive_address(&loads)?;
    check_end_symbol(header, elf, address)?;

    let mut image = elf.to_vec();
    image.resize(elf.len().next_multiple_of(PAGE as usize), 0);
    let offset = image.len() as u64;
    image.extend_from_slice(archive);
    image.resize(image.len().next_multiple_of(PAGE as usize), 0);
    let bytes = image.len() as u64 - offset;
    loads.push(ProgramHeader64 {
        p_type: U32::new(LE, PT_LOAD),
        p_flags: U32::new(LE, PF_R),
        p_offset: U64::new(LE, offset),
        p_vaddr: U64::new(LE, address),
        p_paddr: U64::new(LE, address),
        p_filesz: U64::new(LE, bytes),
        p_memsz: U64::new(LE, bytes),
        p_align: U64::new(LE, PAGE),
    });

    let mut header = *header;
    header.e_phoff = U64::new(LE, image.len() as u64);
    header.e_phnum = U16::new(LE, loads.len() as u16);
    image.extend_from_slice(pod::bytes_of_slice(&loads));
    image[..size_of::<FileHeader64<LE>>()].copy_from_slice(pod::bytes_of(&header));
    Ok(image)
}

/// The first page behind the last segment.
fn archive_address(loads: &[ProgramHeader64<LE>]) -> Result<u64, RootImageError> {
    let mut lowest = u64::MAX;
    let mut end = 0;
    for load in loads {
        let address = load.p_vaddr(LE);
        let wraps = RootImageError::Wraps { address };
        let rounded = address
            .checked_add(load.p_memsz(LE))
            .and_then(|end| end.checked_next_multiple_of(PAGE));
        end = end.max(rounded.ok_or(wraps)?);
        lowest = lowest.min(address);
    }
    if loads.is_empty() {
        return Err(RootImageError::Elf(ProgramError::Empty));
    }
    if !lowest.is_multiple_of(PAGE) {
        return Err(RootImageError::Unaligned { address: lowest });
    }
    Ok(end)
}

/// Compares the symbol `_end`, where the file has one, with `end`.
fn check_end_symbol(header: &FileHeader64<LE>, elf: &[u8], end: u64) -> Result<(), RootImageError> {
    let symbols = header
        .sections(LE, elf)
        .and_then(|sections| sections.symbols(LE, elf, object::elf::SHT_SYMTAB));
    let Ok(symbols) = symbols else { return Ok(()) };
    for symbol in symbols.iter() {
        let name = object::read::elf::Sym::name(symbol, LE, symbols.strings());
        let value = object::read::elf::Sym::st_value(symbol, LE);
        if name == Ok(b"_end") && value.checked_next_multiple_of(PAGE) != Some(end) {
            return Err(RootImageError::EndSymbol { symbol: value, end });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object::elf::{PT_GNU_STACK, PT_TLS};

    use super::*;
    use crate::testing::{Part, elf};

    fn root() -> Vec<u8> {
        let tls = Part { kind: PT_TLS, ..Part::load(0x40_1000, 4, &[], 64) };
        let stack = Part { kind: PT_GNU_STACK, ..Part::load(0, 6, &[], 0) };
        let text = Part::load(0x40_0000, 5, &[0x90; 64], 64);
        let bss = Part::load(0x40_1000, 6, &[7; 16], 0x1234);
        elf(0x40_0000, &[text, bss, tls, stack])
    }

    /// What seL4's loader makes of `file`: all program headers, in order.
    fn boot(file: &[u8]) -> (u64, Vec<u8>) {
        let (_, headers) = program_headers(file).unwrap();
        let bounds = |p: &ProgramHeader64<LE>| (p.p_vaddr(LE), p.p_vaddr(LE) + p.p_memsz(LE));
        let used = || headers.iter().filter(|p| p.p_memsz(LE) > 0);
        let start = used().map(|p| bounds(p).0).min().unwrap();
        let end = used().map(|p| bounds(p).1).max().unwrap();
        let mut memory = vec![0; (end - start) as usize];
        for p in headers {
            let at = (p.p_vaddr(LE) - start) as usize;
            let bytes = p.data(LE, file).unwrap();
            memory[at..at + bytes.len()].copy_from_slice(bytes);
            memory[at + bytes.len()..at + p.p_memsz(LE) as usize].fill(0);
        }
        (start, memory)
    }

    #[test]
    fn the_archive_lies_on_the_page_behind_bss() {
        let archive = vec![0xa5; 5000];
        let (start, memory) = boot(&with_archive(&root(), &archive).unwrap());
        assert_eq!(start, 0x40_0000);
        // .bss ends at 0x402234.
        assert_eq!(&memory[0x3000..0x3000 + 5000], &archive[..]);
        assert_eq!(memory.len(), 0x3000 + 8192, "whole pages and no more");
    }

    #[test]
    fn the_linked_image_stays_as_it_was() {
        let (_, memory) = boot(&with_archive(&root(), &[1; 4096]).unwrap());
        assert_eq!(memory[..64], [0x90; 64]);
        assert_eq!(memory[0x1000..0x1010], [7; 16], "PT_TLS must not clear it");
        assert!(memory[0x1010..0x3000].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn file_offsets_agree_with_addresses() {
        let file = with_archive(&root(), &[1; 4096]).unwrap();
        for load in program_headers(&file).unwrap().1 {
            assert_eq!(load.p_offset(LE) % PAGE, load.p_vaddr(LE) % PAGE);
        }
    }

    #[test]
    fn bad_root_tasks_are_refused() {
        let refused = |parts: &[Part]| with_archive(&elf(0, parts), &[0; 8]).unwrap_err();
        assert_eq!(refused(&[]), RootImageError::Elf(ProgramError::Empty));
        let segment = Part::load(0x40_0000, 5, &[0], 1);
        assert_eq!(refused(&vec![segment; 65]), RootImageError::TooManySegments);
        let wraps = Part::load(0x40_0000, 5, &[0], u64::MAX);
        assert_eq!(refused(&[wraps]), RootImageError::Wraps { address: 0x40_0000 });
        let unaligned = Part::load(0x40_0008, 5, &[0], 1);
        assert_eq!(refused(&[unaligned]), RootImageError::Unaligned { address: 0x40_0008 });
    }
}
