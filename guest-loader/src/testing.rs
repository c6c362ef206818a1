//! Writes ELF files, good ones and bad ones, for tests and fuzzing.

use crate::elf::{PF_W, PF_X, PT_LOAD, PT_NOTE};

/// `PF_R`.
const PF_R: u32 = 4;

/// One program header and its content.
#[derive(Clone, Debug)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_paddr`.
    pub physical: u64,
    /// Bytes in the file.
    pub content: Vec<u8>,
    /// `p_filesz`; the content's length unless a test says otherwise.
    pub file_size: u64,
    /// `p_memsz`.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
}

/// An ELF file in the making.
#[derive(Clone, Debug)]
pub struct ElfWriter {
    /// `e_entry`.
    pub entry: u64,
    /// Program headers, in order.
    pub segments: Vec<Segment>,
    /// Symbols; an image that has some has sections, one for each segment.
    pub symbols: Vec<Symbol>,
}

/// A symbol in the making.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// `st_info`: [`FUNCTION`], [`LABEL`] or [`OBJECT`].
    pub info: u8,
    /// `st_value`.
    pub address: u64,
    /// `st_size`.
    pub size: u64,
}

/// A global `STT_FUNC`.
pub const FUNCTION: u8 = 0x12;
/// A global `STT_NOTYPE`.
pub const LABEL: u8 = 0x10;
/// A global `STT_OBJECT`.
pub const OBJECT: u8 = 0x11;

impl ElfWriter {
    /// A file without segments.
    pub fn new(entry: u64) -> Self {
        Self { entry, segments: Vec::new(), symbols: Vec::new() }
    }

    fn segment(
        mut self,
        kind: u32,
        flags: u32,
        address: u64,
        content: &[u8],
        memory_size: u64,
    ) -> Self {
        self.segments.push(Segment {
            kind,
            flags,
            address,
            physical: address,
            content: content.to_vec(),
            file_size: content.len() as u64,
            memory_size,
            align: 4096,
        });
        self
    }

    /// Adds a code segment: one page of `int3`.
    pub fn code(self, address: u64) -> Self {
        self.segment(PT_LOAD, PF_R | PF_X, address, &[0xcc; 4096], 4096)
    }

    /// Adds a writable segment: 16 bytes from the file, the rest zero.
    pub fn data(self, address: u64, memory_size: u64) -> Self {
        self.segment(PT_LOAD, PF_R | PF_W, address, &[0xdd; 16], memory_size)
    }

    /// Adds a loadable segment with the given flags.
    pub fn load(self, flags: u32, address: u64, content: &[u8], memory_size: u64) -> Self {
        self.segment(PT_LOAD, flags, address, content, memory_size)
    }

    /// Adds a `PT_NOTE` segment of the given bytes.
    pub fn raw_note(self, bytes: &[u8]) -> Self {
        let mut writer = self.segment(PT_NOTE, PF_R, 0, bytes, bytes.len() as u64);
        if let Some(last) = writer.segments.last_mut() {
            last.align = 4;
        }
        writer
    }

    /// Adds a `PT_NOTE` segment with one note.
    pub fn note(self, name: &[u8], kind: u32, descriptor: &[u8]) -> Self {
        self.raw_note(&note(name, kind, descriptor))
    }

    /// Adds a symbol; `info` is [`FUNCTION`], [`LABEL`] or [`OBJECT`].
    pub fn symbol(mut self, info: u8, address: u64, size: u64) -> Self {
        self.symbols.push(Symbol { info, address, size });
        self
    }

    /// Changes the last segment.
    pub fn with(mut self, change: impl FnOnce(&mut Segment)) -> Self {
        change(self.segments.last_mut().expect("a segment was added"));
        self
    }

    /// The file: header, program headers, then each segment's content.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        file.extend_from_slice(&2_u16.to_le_bytes()); // ET_EXEC
        file.extend_from_slice(&62_u16.to_le_bytes()); // x86-64
        file.extend_from_slice(&1_u32.to_le_bytes());
        for word in [self.entry, 64, 0] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&0_u32.to_le_bytes());
        for half in [64, 56, self.segments.len() as u16, 64, 0, 0] {
            file.extend_from_slice(&half.to_le_bytes());
        }
        let mut offset = 64 + 56 * self.segments.len() as u64;
        for segment in &self.segments {
            file.extend_from_slice(&segment.kind.to_le_bytes());
            file.extend_from_slice(&segment.flags.to_le_bytes());
            let (address, physical) = (segment.address, segment.physical);
            for word in
                [offset, address, physical, segment.file_size, segment.memory_size, segment.align]
            {
                file.extend_from_slice(&word.to_le_bytes());
            }
            offset += segment.content.len() as u64;
        }
        for segment in &self.segments {
            file.extend_from_slice(&segment.content);
        }
        if !self.symbols.is_empty() {
            self.write_sections(&mut file);
        }
        file
    }

    /// A section for each segment, then symbols, their names, and the names of
    /// sections, which are all empty.
    fn write_sections(&self, file: &mut Vec<u8>) {
        let loads = self.segments.len() as u64;
        let mut headers = vec![[0; 10]];
        let mut offset = 64 + 56 * loads;
        for segment in &self.segments {
            let length = segment.content.len() as u64;
            let code = u64::from(segment.flags & PF_X) << 2; // SHF_EXECINSTR
            headers.push([0, 1, 2 | code, segment.address, offset, length, 0, 0, 1, 0]);
            offset += length;
        }
        let at = file.len() as u64;
        file.extend_from_slice(&[0; 24]);
        for (index, symbol) in self.symbols.iter().enumerate() {
            let name = 1 + 2 * index as u32;
            let section = self.section_of(symbol.address);
            file.extend_from_slice(&name.to_le_bytes());
            file.extend_from_slice(&[symbol.info, 0]);
            file.extend_from_slice(&section.to_le_bytes());
            file.extend_from_slice(&symbol.address.to_le_bytes());
            file.extend_from_slice(&symbol.size.to_le_bytes());
        }
        let symbols = 24 * (1 + self.symbols.len() as u64);
        headers.push([0, 2, 0, 0, at, symbols, loads + 2, 1, 8, 24]);
        let names = file.len() as u64;
        file.push(0);
        for index in 0..self.symbols.len() {
            file.extend_from_slice(&[b'a' + (index % 26) as u8, 0]);
        }
        let length = file.len() as u64 - names;
        headers.push([0, 3, 0, 0, names, length, 0, 0, 1, 0]);
        let table = file.len() as u64;
        file[40..48].copy_from_slice(&table.to_le_bytes());
        file[58..60].copy_from_slice(&64_u16.to_le_bytes());
        file[60..62].copy_from_slice(&(headers.len() as u16).to_le_bytes());
        file[62..64].copy_from_slice(&(loads as u16 + 2).to_le_bytes());
        for [name, kind, flags, address, offset, size, link, info, align, entry] in headers {
            for (value, bytes) in [
                (name, 4),
                (kind, 4),
                (flags, 8),
                (address, 8),
                (offset, 8),
                (size, 8),
                (link, 4),
                (info, 4),
                (align, 8),
                (entry, 8),
            ] {
                file.extend_from_slice(&u64::to_le_bytes(value)[..bytes]);
            }
        }
    }

    fn section_of(&self, address: u64) -> u16 {
        let inside = |segment: &Segment| {
            (segment.address..segment.address + segment.memory_size).contains(&address)
        };
        let index = self.segments.iter().position(inside);
        index.map_or(0xfff1, |index| index as u16 + 1) // SHN_ABS
    }
}

/// A note, padded.
pub fn note(name: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [name.len() as u32 + 1, descriptor.len() as u32, kind] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for part in [&[name, b"\0"].concat()[..], descriptor] {
        bytes.extend_from_slice(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// An `ABI1` descriptor.
pub fn abi(target: u32, version: u32) -> Vec<u8> {
    [target, version, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// One manifest entry.
pub fn entry(name: &[u8], kind: u32) -> [u8; 104] {
    let mut entry = [0; 104];
    entry[..name.len()].copy_from_slice(name);
    entry[68..72].copy_from_slice(&kind.to_le_bytes());
    entry
}

/// An `MFT1` descriptor: padding, version, number of entries, entries.
pub fn manifest(version: u32, count: u32, entries: &[[u8; 104]]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
    bytes
}

/// The reserved first entry.
pub const RESERVED: u32 = 1 << 30;
/// "ABI1".
pub const ABI1: u32 = 0x3149_4241;
/// "MFT1".
pub const MFT1: u32 = 0x3154_464d;

/// A Solo5 image of the given interface version that declares `devices`.
pub fn solo5(version: u32, devices: &[(&[u8], u32)]) -> ElfWriter {
    let mut entries = vec![entry(b"", RESERVED)];
    entries.extend(devices.iter().map(|&(name, kind)| entry(name, kind)));
    ElfWriter::new(0x10_0020)
        .code(0x10_0000)
        .data(0x10_1000, 0x3000)
        .note(b"OpenBSD", 1, &[0; 4])
        .note(b"Solo5", ABI1, &abi(1, version))
        .note(b"Solo5", MFT1, &manifest(1, entries.len() as u32, &entries))
}

/// A pc64 image.
pub fn pc64() -> ElfWriter {
    ElfWriter::new(0x20_0010).code(0x20_0000).data(0x20_1000, 0x5000)
}

/// A small Solo5 image without devices, its notes right behind the headers.
pub fn solo5_without_devices(version: u32) -> ElfWriter {
    ElfWriter::new(0x10_0020)
        .note(b"Solo5", ABI1, &abi(1, version))
        .note(b"Solo5", MFT1, &manifest(1, 1, &[entry(b"", RESERVED)]))
        .code(0x10_0000)
        .data(0x10_1000, 0x3000)
}
