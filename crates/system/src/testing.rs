//! Small ELF files, programs and guests for this crate's tests.

use object::elf::{ELFMAG, EM_X86_64, ET_EXEC, FileHeader64, Ident, PT_LOAD, ProgramHeader64};
use object::{LittleEndian as LE, U16, U32, U64, pod};

use crate::compile::{GuestLoad, GuestPayload};
use crate::compiled::{GpaRange, PatchKind, Platform, VcpuStart};

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
        Self {
            kind: PT_LOAD,
            address,
            flags,
            bytes: bytes.to_vec(),
            memory,
        }
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
        loads: vec![GuestLoad {
            gpa: 0x10_0000,
            bytes,
        }],
        read_only: vec![GpaRange {
            start: 0x10_0000,
            end: 0x10_1000,
        }],
        patches: vec![(0x10_0008, PatchKind::TscHz)],
        start: VcpuStart {
            rip: 0x10_0020,
            ..VcpuStart::default()
        },
    }
}
