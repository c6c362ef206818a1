//! What a guest is told at boot, from either protocol.
//!
//! - Linux boot protocol: `boot_params`, the "zero page"
//!   (`Documentation/arch/x86/{boot,zero-page}.rst`).
//! - PVH: `hvm_start_info`, version 1
//!   (Xen's `public/arch-x86/hvm/start_info.h`).
//!
//! The readers take memory as a function, so that they run on the host too.

/// Longest command line kept, in bytes.
pub const COMMAND_LINE_MAX: usize = 256;
const REGIONS_MAX: usize = 32;

const PVH_MAGIC: u32 = 0x336e_c578;
const PVH_COMMAND_LINE: u64 = 24;
const PVH_ROOT_POINTER: u64 = 32;
const PVH_MEMORY_MAP: u64 = 40;
const PVH_MEMORY_MAP_ENTRIES: u64 = 48;
const PVH_ENTRY_SIZE: u64 = 24;

const LINUX_ROOT_POINTER: u64 = 0x70;
const LINUX_E820_ENTRIES: u64 = 0x1e8;
const LINUX_COMMAND_LINE: u64 = 0x228;
const LINUX_E820: u64 = 0x2d0;
const LINUX_ENTRY_SIZE: u64 = 20;

/// Use of a region of physical memory, by its ACPI address range type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// RAM that the guest may use.
    Usable,
    /// Anything else.
    Reserved(u32),
}

/// A region of physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Use.
    pub kind: RegionKind,
}

/// Command line and memory map.
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    command_line: [u8; COMMAND_LINE_MAX],
    command_line_length: usize,
    regions: [Region; REGIONS_MAX],
    region_count: usize,
    root_pointer: u64,
}

impl BootInfo {
    const EMPTY: Self = Self {
        command_line: [0; COMMAND_LINE_MAX],
        command_line_length: 0,
        regions: [Region { start: 0, length: 0, kind: RegionKind::Reserved(0) }; REGIONS_MAX],
        region_count: 0,
        root_pointer: 0,
    };

    /// Reads `hvm_start_info` at `address`; `byte` reads memory.
    pub fn from_pvh(address: u64, byte: impl Fn(u64) -> u8) -> Self {
        let read = Reader(byte);
        let mut info = Self::EMPTY;
        if read.u32(address) != PVH_MAGIC {
            return info;
        }
        info.root_pointer = read.u64(address + PVH_ROOT_POINTER);
        info.copy_command_line(read.u64(address + PVH_COMMAND_LINE), &read);
        let map = read.u64(address + PVH_MEMORY_MAP);
        for entry in 0..u64::from(read.u32(address + PVH_MEMORY_MAP_ENTRIES)) {
            info.copy_region(map + entry * PVH_ENTRY_SIZE, &read);
        }
        info
    }

    /// Reads `boot_params` at `address`; `byte` reads memory.
    pub fn from_linux(address: u64, byte: impl Fn(u64) -> u8) -> Self {
        let read = Reader(byte);
        let mut info = Self::EMPTY;
        info.root_pointer = read.u64(address + LINUX_ROOT_POINTER);
        info.copy_command_line(u64::from(read.u32(address + LINUX_COMMAND_LINE)), &read);
        for entry in 0..u64::from((read.0)(address + LINUX_E820_ENTRIES)) {
            info.copy_region(address + LINUX_E820 + entry * LINUX_ENTRY_SIZE, &read);
        }
        info
    }

    /// The command line; up to [`COMMAND_LINE_MAX`] bytes, empty if it is not UTF-8.
    pub fn command_line(&self) -> &str {
        core::str::from_utf8(&self.command_line[..self.command_line_length]).unwrap_or("")
    }

    /// Address of ACPI's root pointer; 0 if none was told.
    pub const fn root_pointer(&self) -> u64 {
        self.root_pointer
    }

    /// The memory map, in the order given.
    pub fn regions(&self) -> &[Region] {
        &self.regions[..self.region_count]
    }

    /// Bytes of usable RAM.
    pub fn usable_bytes(&self) -> u64 {
        let usable = self.regions().iter().filter(|region| region.kind == RegionKind::Usable);
        usable.map(|region| region.length).sum()
    }

    fn copy_command_line(&mut self, address: u64, read: &Reader<impl Fn(u64) -> u8>) {
        if address == 0 {
            return;
        }
        for (slot, at) in self.command_line.iter_mut().zip(address..) {
            *slot = (read.0)(at);
            if *slot == 0 {
                break;
            }
            self.command_line_length += 1;
        }
    }

    /// Both protocols begin an entry with address, length and type.
    fn copy_region(&mut self, entry: u64, read: &Reader<impl Fn(u64) -> u8>) {
        if let Some(slot) = self.regions.get_mut(self.region_count) {
            let kind = match read.u32(entry + 16) {
                1 => RegionKind::Usable,
                other => RegionKind::Reserved(other),
            };
            *slot = Region { start: read.u64(entry), length: read.u64(entry + 8), kind };
            self.region_count += 1;
        }
    }
}

/// Little-endian reads on top of single bytes.
struct Reader<F>(F);

impl<F: Fn(u64) -> u8> Reader<F> {
    fn u32(&self, address: u64) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|i| (self.0)(address + i as u64)))
    }

    fn u64(&self, address: u64) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|i| (self.0)(address + i as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(memory: &mut [u8], at: usize, bytes: &[u8]) {
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_region(memory: &mut [u8], at: usize, start: u64, length: u64, kind: u32) {
        put(memory, at, &start.to_le_bytes());
        put(memory, at + 8, &length.to_le_bytes());
        put(memory, at + 16, &kind.to_le_bytes());
    }

    #[test]
    fn both_protocols_say_the_same() {
        let mut linux = vec![0; 0x2000];
        put(&mut linux, 0x1000, b"one two\0three");
        linux[0x1e8] = 2;
        put(&mut linux, 0x228, &0x1000_u32.to_le_bytes());
        put_region(&mut linux, 0x2d0, 0, 0x9fc00, 1);
        put_region(&mut linux, 0x2d0 + 20, 0x10_0000, 0x1000, 2);

        let mut pvh = vec![0; 0x2000];
        put(&mut pvh, 0x1000, b"one two\0three");
        put(&mut pvh, 0, &PVH_MAGIC.to_le_bytes());
        put(&mut pvh, 24, &0x1000_u64.to_le_bytes());
        put(&mut pvh, 40, &0x800_u64.to_le_bytes());
        put(&mut pvh, 48, &2_u32.to_le_bytes());
        put_region(&mut pvh, 0x800, 0, 0x9fc00, 1);
        put_region(&mut pvh, 0x800 + 24, 0x10_0000, 0x1000, 2);

        let linux = BootInfo::from_linux(0, |at| linux[at as usize]);
        let pvh = BootInfo::from_pvh(0, |at| pvh[at as usize]);
        assert_eq!(linux.command_line(), "one two");
        assert_eq!(linux.command_line(), pvh.command_line());
        assert_eq!(linux.regions(), pvh.regions());
        assert_eq!(linux.usable_bytes(), 0x9fc00);
    }

    #[test]
    fn long_lines_and_maps_are_cut() {
        let mut memory = vec![b'x'; 0x2000];
        memory[0x1e8] = 255;
        put(&mut memory, 0x228, &0x1000_u32.to_le_bytes());
        let info = BootInfo::from_linux(0, |at| memory[at as usize]);
        assert_eq!(info.command_line().len(), COMMAND_LINE_MAX);
        assert_eq!(info.regions().len(), REGIONS_MAX);
    }
}
