//! ELF64 executables for x86-64: headers and program segments.
//!
//! [`Elf::parse`] proves what both platforms need: the file is an ELF64
//! little-endian x86-64 executable, every segment with content lies in the
//! file, and no segment's addresses wrap. What a platform adds (addresses,
//! order, protection) is checked by that platform.
//!
//! Layouts: System V ABI, "gABI 4.1", chapters 4 (header) and 5 (program header).

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::{MAX_IMAGE, Problem};

/// `PT_LOAD`: a segment that is placed in memory.
pub const PT_LOAD: u32 = 1;
/// `PT_NOTE`: a segment of notes.
pub const PT_NOTE: u32 = 4;
/// `PF_X`: executable.
pub const PF_X: u32 = 1;
/// `PF_W`: writable.
pub const PF_W: u32 = 2;

const MAGIC: [u8; 4] = *b"\x7fELF";
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const ET_EXEC: u16 = 2;
const EM_X86_64: u16 = 62;

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: [u8; 4],
    class: u8,
    data: u8,
    ident_version: u8,
    os_abi: u8,
    padding: [u8; 8],
    object_type: U16,
    machine: U16,
    version: U32,
    entry: U64,
    program_offset: U64,
    section_offset: U64,
    flags: U32,
    header_size: U16,
    program_entry_size: U16,
    program_count: U16,
    section_entry_size: U16,
    section_count: U16,
    section_names: U16,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ProgramHeader {
    kind: U32,
    flags: U32,
    offset: U64,
    virtual_address: U64,
    physical_address: U64,
    file_size: U64,
    memory_size: U64,
    align: U64,
}

const HEADER_SIZE: usize = size_of::<Header>();
const PROGRAM_HEADER_SIZE: usize = size_of::<ProgramHeader>();
const _: () = assert!(HEADER_SIZE == 64 && PROGRAM_HEADER_SIZE == 56);

/// One program segment. Its file range lies in the file, and `address + memory_size`
/// does not wrap for either address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Index of its program header.
    pub index: usize,
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// Virtual address.
    pub virtual_address: u64,
    /// Physical address.
    pub physical_address: u64,
    /// Where the content begins in the file.
    pub file_offset: u64,
    /// Content from the file; the rest of the segment is zero.
    pub content: &'a [u8],
    /// Bytes in memory, at least the content's.
    pub memory_size: u64,
    /// Alignment in memory.
    pub align: u64,
}

impl Segment<'_> {
    /// Whether the segment asks for both writing and executing.
    pub fn writable_and_executable(&self) -> bool {
        self.flags & (PF_W | PF_X) == PF_W | PF_X
    }
}

/// A checked ELF64 executable.
#[derive(Clone, Debug)]
pub struct Elf<'a> {
    /// `e_entry`.
    pub entry: u64,
    /// Program segments of the kinds [`PT_LOAD`] and [`PT_NOTE`], in file order.
    pub segments: Vec<Segment<'a>>,
}

impl<'a> Elf<'a> {
    /// Checks and reads `bytes`.
    ///
    /// # Errors
    /// The [`Problem`] that names the first rule the file breaks.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let size = bytes.len() as u64;
        if size > MAX_IMAGE {
            return Err(Problem::ImageTooLarge { size, limit: MAX_IMAGE });
        }
        let header = read_header(bytes)?;
        let segments = read_segments(bytes, header)?;
        if segments.iter().all(|segment| segment.kind != PT_LOAD || segment.memory_size == 0) {
            return Err(Problem::NothingToLoad);
        }
        Ok(Self { entry: header.entry.get(), segments })
    }

    /// Segments to place in memory: [`PT_LOAD`] with at least one byte.
    pub fn loads(&self) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter().filter(|segment| segment.kind == PT_LOAD && segment.memory_size > 0)
    }
}

fn read_header(bytes: &[u8]) -> Result<&Header, Problem> {
    if let Some(magic) = bytes.first_chunk::<4>()
        && *magic != MAGIC
    {
        return Err(Problem::NotElf { magic: *magic });
    }
    let Ok((header, _)) = Header::ref_from_prefix(bytes) else {
        return Err(Problem::HeaderTruncated { size: bytes.len() as u64 });
    };
    if header.class != CLASS_64 {
        return Err(Problem::NotElf64 { class: header.class });
    }
    if header.data != LITTLE_ENDIAN {
        return Err(Problem::NotLittleEndian { data: header.data });
    }
    if header.version.get() != 1 {
        return Err(Problem::ElfVersion { version: header.version.get() });
    }
    if header.machine.get() != EM_X86_64 {
        return Err(Problem::WrongMachine { machine: header.machine.get() });
    }
    if header.object_type.get() != ET_EXEC {
        return Err(Problem::NotExecutable { object_type: header.object_type.get() });
    }
    let sizes = (header.header_size.get(), header.program_entry_size.get());
    if (usize::from(sizes.0), usize::from(sizes.1)) != (HEADER_SIZE, PROGRAM_HEADER_SIZE) {
        return Err(Problem::HeaderSizes { header: sizes.0, program_header: sizes.1 });
    }
    if header.program_count.get() == 0 {
        return Err(Problem::NothingToLoad);
    }
    Ok(header)
}

fn read_segments<'a>(bytes: &'a [u8], header: &Header) -> Result<Vec<Segment<'a>>, Problem> {
    let (offset, count) = (header.program_offset.get(), header.program_count.get());
    let truncated = Problem::ProgramHeadersTruncated { offset, count, size: bytes.len() as u64 };
    let table =
        slice(bytes, offset, u64::from(count) * PROGRAM_HEADER_SIZE as u64).ok_or(truncated)?;
    let mut segments = Vec::new();
    for (index, entry) in table.chunks_exact(PROGRAM_HEADER_SIZE).enumerate() {
        let Ok(entry) = ProgramHeader::ref_from_bytes(entry) else {
            continue;
        };
        if matches!(entry.kind.get(), PT_LOAD | PT_NOTE) {
            segments.push(read_segment(bytes, index, entry)?);
        }
    }
    Ok(segments)
}

fn read_segment<'a>(
    bytes: &'a [u8],
    index: usize,
    entry: &ProgramHeader,
) -> Result<Segment<'a>, Problem> {
    let (offset, file_size) = (entry.offset.get(), entry.file_size.get());
    let memory_size = entry.memory_size.get();
    let truncated =
        Problem::SegmentTruncated { segment: index, offset, file_size, size: bytes.len() as u64 };
    let content = slice(bytes, offset, file_size).ok_or(truncated)?;
    if entry.kind.get() == PT_LOAD && memory_size < file_size {
        return Err(Problem::SegmentShrinks { segment: index, file_size, memory_size });
    }
    for address in [entry.virtual_address.get(), entry.physical_address.get()] {
        if address.checked_add(memory_size).is_none() {
            return Err(Problem::SegmentWraps { segment: index, address, memory_size });
        }
    }
    Ok(Segment {
        index,
        kind: entry.kind.get(),
        flags: entry.flags.get(),
        virtual_address: entry.virtual_address.get(),
        physical_address: entry.physical_address.get(),
        file_offset: offset,
        content,
        memory_size,
        align: entry.align.get(),
    })
}

fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get(start..end)
}
