//! Small ELF files, systems and archives for this crate's tests and fuzz targets.

use std::path::Path;

use object::elf::{ELFMAG, EM_X86_64, ET_EXEC, FileHeader64, Ident, PT_LOAD, ProgramHeader64};
use object::{LittleEndian as LE, U16, U32, U64, pod};

use crate::compile::{ArchiveImage, GuestLoad, GuestPayload, Programs, compile};
use crate::compiled::{
    Archive, CHECKED_FROM, GpaRange, PatchKind, Platform, ProgramKind, Rewrite, VcpuStart, checksum,
};
use crate::manifest::{InMemory, System, load_from};
use crate::program::{Program, ProgramSegment};

/// A program header to be: address, flags, bytes in the file, bytes in memory.
#[derive(Clone)]
pub struct Part {
    pub kind: u32,
    pub address: u64,
    pub flags: u32,
    pub bytes: Vec<u8>,
    pub memory: u64,
}

impl Part {
    pub fn load(address: u64, flags: u32, bytes: &[u8], memory: u64) -> Self {
        Self { kind: PT_LOAD, address, flags, bytes: bytes.to_vec(), memory }
    }
}

/// An executable with `parts`, each at a file offset that fits its address.
pub fn elf(entry: u64, parts: &[Part]) -> Vec<u8> {
    let header_size = size_of::<FileHeader64<LE>>();
    let entry_size = size_of::<ProgramHeader64<LE>>();
    let mut file = vec![0; header_size + entry_size * parts.len()];
    let mut headers = Vec::new();
    for part in parts {
        let offset = file.len().next_multiple_of(4096) + (part.address % 4096) as usize;
        file.resize(offset, 0xee);
        file.extend_from_slice(&part.bytes);
        headers.push(ProgramHeader64 {
            p_type: U32::new(LE, part.kind),
            p_flags: U32::new(LE, part.flags),
            p_offset: U64::new(LE, offset as u64),
            p_vaddr: U64::new(LE, part.address),
            p_paddr: U64::new(LE, part.address),
            p_filesz: U64::new(LE, part.bytes.len() as u64),
            p_memsz: U64::new(LE, part.memory),
            p_align: U64::new(LE, 4096),
        });
    }
    let header = FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: 2,
            data: 1,
            version: 1,
            os_abi: 0,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(LE, ET_EXEC),
        e_machine: U16::new(LE, EM_X86_64),
        e_version: U32::new(LE, 1),
        e_entry: U64::new(LE, entry),
        e_phoff: U64::new(LE, header_size as u64),
        e_shoff: U64::new(LE, 0),
        e_flags: U32::new(LE, 0),
        e_ehsize: U16::new(LE, header_size as u16),
        e_phentsize: U16::new(LE, entry_size as u16),
        e_phnum: U16::new(LE, parts.len() as u16),
        e_shentsize: U16::new(LE, 0),
        e_shnum: U16::new(LE, 0),
        e_shstrndx: U16::new(LE, 0),
    };
    file[..header_size].copy_from_slice(pod::bytes_of(&header));
    file[header_size..header_size + entry_size * parts.len()]
        .copy_from_slice(pod::bytes_of_slice(&headers));
    file
}

/// A guest with one load of `bytes` at 1 MiB.
pub fn payload(bytes: Vec<u8>) -> GuestPayload {
    GuestPayload {
        platform: Platform::Solo5Hvt,
        memory_bytes: 32 << 20,
        loads: vec![GuestLoad { gpa: 0x10_0000, bytes }],
        read_only: vec![GpaRange { start: 0x10_0000, end: 0x10_1000 }],
        patches: vec![(0x10_0008, PatchKind::TscHz)],
        rewrites: [0x10_0020, 0x10_0022]
            .map(|rip| Rewrite {
                rip,
                length: 2,
                bytes: [0x0f, 0xa2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            })
            .to_vec(),
        start: VcpuStart { rip: 0x10_0020, ..VcpuStart::default() },
        secondary: None,
    }
}

/// Two guests and an injection.
pub const MANIFEST: &str = r#"
    schema = 1
    [[guest]]
    name = "one"
    solo5-test = "hello"
    priority = 7
    [[guest]]
    name = "two"
    build = "guests/hello"
    rewrite = false
    shadow = { tables = 100, spaces = 4, extra-copies = 10, trace = 100, audit = 7, budget = 9 }
    [[inject]]
    guest = "two"
    process = "vmm"
    after-faults = 3
"#;

/// The system of the manifest `text`.
pub fn system(text: &str) -> System {
    let path = Path::new("m.toml");
    let files = InMemory([(path.to_owned(), text.as_bytes().to_vec())].into());
    load_from(&files, path, None).unwrap()
}

/// One small program of each kind.
pub fn programs() -> Programs {
    ProgramKind::ALL.map(|kind| Program {
        entry: 0x40_0000,
        segments: vec![
            ProgramSegment {
                address: 0x40_0000,
                memory_bytes: 0x1000,
                bytes: kind.name().into(),
                writable: false,
            },
            ProgramSegment {
                address: 0x40_1000,
                memory_bytes: 0x3000,
                bytes: Vec::new(),
                writable: true,
            },
        ],
        stack_pages: 4,
    })
}

/// [`MANIFEST`], compiled.
pub fn archive() -> ArchiveImage {
    compile(&system(MANIFEST), &programs(), &[payload(vec![1; 5000]), payload(vec![2; 4096])])
        .unwrap()
}

/// Gives the damaged archive `bytes` a checksum that fits.
pub fn seal(bytes: &mut [u8]) {
    let length = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
    let end = usize::try_from(length).unwrap_or(usize::MAX).clamp(CHECKED_FROM, bytes.len());
    let sealed = checksum(&bytes[CHECKED_FROM..end]);
    bytes[12..16].copy_from_slice(&sealed.to_le_bytes());
}

/// Reads everything that `archive` gives access to; how much that is.
pub fn use_all(archive: &Archive<'_>) -> usize {
    let mut used = 0;
    for program in archive.programs {
        assert_eq!(archive.segments_of(program).len(), program.segments as usize);
        for segment in archive.segments_of(program) {
            assert_eq!(archive.segment_bytes(segment).len(), segment.file_bytes as usize);
            used += archive.segment_bytes(segment).len();
        }
    }
    for guest in archive.guests {
        assert!(!guest.name.as_str().is_empty());
        used += archive.read_only_of(guest).len() + archive.patches_of(guest).len();
        used += archive
            .rewrites_of(guest)
            .iter()
            .map(|entry| entry.instruction().expect("checked").len())
            .sum::<usize>();
        for load in archive.loads_of(guest) {
            assert_eq!(archive.load_bytes(load).len(), load.bytes as usize);
            used += archive.load_bytes(load).len();
        }
    }
    used + archive.injections.len()
}
