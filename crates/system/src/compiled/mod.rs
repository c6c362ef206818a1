//! The compiled form of a system: the archive inside the root task's ELF.
//!
//! ```text
//! Header | Program[] | Segment[] | Guest[] | Load[] | GpaRange[] | Patch[] | Rewrite[] | Injection[] | bytes
//! ```
//!
//! Tables are arrays of the plain structures below, 8-aligned; file bytes are
//! page-aligned. All integers are little endian. The host writes it, the root
//! task reads it through [`Archive`], which checks every offset once, so that a
//! damaged archive is refused before anything is built from it.

mod archive;
mod check;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use archive::{Archive, ArchiveError};

use crate::address_map::REWRITES_LIMIT;
use crate::cspace::Pools;
use crate::name::Name;

/// Most guests of a system: process numbers and badges are handed out for this many.
pub const MAX_GUESTS: usize = 16;
/// Most read-only ranges of a guest: its server's startup page holds them.
pub const MAX_READ_ONLY: usize = 16;
/// seL4 priorities that guests and their servers may run at; the supervisor
/// and the drivers keep those above, the reaper the one below.
pub const GUEST_PRIORITIES: core::ops::RangeInclusive<u32> = 1..=200;

/// First bytes of an archive.
pub const MAGIC: [u8; 8] = *b"UMBRIEL\0";
/// Version of this layout; the root task refuses any other.
pub const FORMAT: u32 = 1;

/// Offset of the first byte under the checksum: the one behind the checksum
/// itself. What lies before is compared with what it must be.
pub const CHECKED_FROM: usize = 16;

/// Where a table lies: byte offset from the archive's start, and entries.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Table {
    /// Byte offset, a multiple of 8.
    pub offset: u32,
    /// Entries.
    pub count: u32,
}

/// The archive's first bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT`].
    pub format: u32,
    /// [`checksum`] of all bytes from [`CHECKED_FROM`] on.
    pub checksum: u32,
    /// Bytes of the whole archive.
    pub length: u64,
    /// [`Program`]s; the order is the one of [`ProgramKind`].
    pub programs: Table,
    /// [`Segment`]s of all programs.
    pub segments: Table,
    /// [`Guest`]s in manifest order.
    pub guests: Table,
    /// [`Load`]s of all guests.
    pub loads: Table,
    /// [`GpaRange`]s of all guests.
    pub ranges: Table,
    /// [`Patch`]es of all guests.
    pub patches: Table,
    /// [`Rewrite`]s of all guests.
    pub rewrites: Table,
    /// [`Injection`]s.
    pub injections: Table,
}

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum ProgramKind {
    /// The shadow-paging server.
    ShadowServer = 0,
    /// The virtual platform.
    Vmm = 1,
    /// The console driver.
    Console = 2,
    /// The timer driver.
    Timer = 3,
}

impl ProgramKind {
    /// All kinds, in the order of the archive's table.
    pub const ALL: [Self; 4] = [Self::ShadowServer, Self::Vmm, Self::Console, Self::Timer];

    /// The name of the package that builds it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShadowServer => "shadow-server",
            Self::Vmm => "vmm",
            Self::Console => "console",
            Self::Timer => "timer",
        }
    }
}

/// A process image.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Program {
    /// Entry point.
    pub entry: u64,
    /// Its segments: index of the first and how many.
    pub first_segment: u32,
    /// How many segments.
    pub segments: u32,
    /// Pages of its stack.
    pub stack_pages: u32,
    /// Zero.
    pub reserved: u32,
}

/// A run of pages of a process image.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Segment {
    /// First address, page-aligned.
    pub address: u64,
    /// Bytes in memory; what the file does not fill is zero.
    pub memory_bytes: u64,
    /// Where its bytes lie in the archive, page-aligned.
    pub offset: u32,
    /// Bytes in the archive.
    pub file_bytes: u32,
    /// Whether the process may write it (1) or not (0).
    pub writable: u32,
    /// Zero.
    pub reserved: u32,
}

/// A guest's platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Platform {
    /// Solo5 hvt, ABI 1 and 2.
    Solo5Hvt = 1,
    /// ELF64 kernel with PC devices.
    Pc64 = 2,
}

impl Platform {
    /// The name in manifests and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Solo5Hvt => "solo5-hvt",
            Self::Pc64 => "pc64",
        }
    }

    /// The platform of number `number`.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Solo5Hvt),
            2 => Some(Self::Pc64),
            _ => None,
        }
    }
}

/// State in which a guest's vCPU starts: long mode at CPL 0, flat
/// segments, interrupts off. Fields not named here are zero.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)] // registers by their names
pub struct VcpuStart {
    pub rip: u64,
    pub rsp: u64,
    pub rflags: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
    pub gdt_base: u64,
    pub gdt_limit: u32,
    pub idt_limit: u32,
    pub code_selector: u32,
    pub data_selector: u32,
    pub task_selector: u32,
    pub reserved: u32,
}

/// A guest.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Guest {
    /// Its name, unique in the system.
    pub name: Name,
    /// A [`Platform`] number.
    pub platform: u32,
    /// vCPUs, 1 to [`crate::address_map::MAX_VCPUS`].
    pub vcpus: u32,
    /// seL4 priority of its vCPUs and servers, one of [`GUEST_PRIORITIES`].
    pub priority: u32,
    /// Records of page faults that its server keeps, at most
    /// [`crate::address_map::MAX_TRACE`].
    pub trace: u32,
    /// Bytes of RAM, from guest-physical 0; a multiple of 4 KiB.
    pub memory_bytes: u64,
    /// Bytes of shadow MMU metadata that its server needs.
    pub metadata_bytes: u64,
    /// What its server owns.
    pub pools: Pools,
    /// Records that its server checks after each message.
    pub audit: u32,
    /// Capability operations of one request to its server at most.
    pub budget: u32,
    /// Index of its first [`Load`] and how many.
    pub loads: Table,
    /// Index of its first read-only [`GpaRange`] and how many.
    pub read_only: Table,
    /// Index of its first [`Patch`] and how many.
    pub patches: Table,
    /// Index of its first [`Rewrite`] and how many.
    pub rewrites: Table,
    /// Where its first vCPU starts.
    pub start: VcpuStart,
    /// Where its other vCPUs wait to be started; RDI is the address of the
    /// mailbox that starts them. Zeros if there is one vCPU.
    pub secondary: VcpuStart,
}

/// Bytes to copy into guest memory before the guest starts.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Load {
    /// Guest-physical address, page-aligned.
    pub gpa: u64,
    /// Where the bytes lie in the archive, page-aligned.
    pub offset: u32,
    /// How many bytes.
    pub bytes: u32,
}

/// A range of guest-physical memory, page-aligned.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct GpaRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// A 64-bit word of guest memory that only the running machine knows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Patch {
    /// Guest-physical address, 8-aligned.
    pub gpa: u64,
    /// A [`PatchKind`] number.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

/// An instruction of a guest that was rewritten, or that traps and is known
/// beforehand: when its vCPU traps there, this is what it executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rewrite {
    /// Guest-virtual address of the instruction.
    pub rip: u64,
    /// Its length in bytes, 1 to 15.
    pub length: u8,
    /// Its bytes before rewriting; zeros behind `length`.
    pub bytes: [u8; MAX_INSTRUCTION],
}

/// Most of them for a guest: the region that its server gets them in.
pub const MAX_REWRITES: usize = REWRITES_LIMIT as usize / size_of::<Rewrite>();

/// Longest instruction in bytes (SDM vol. 2A, §2.3.11).
pub const MAX_INSTRUCTION: usize = 15;

impl Rewrite {
    /// The instruction's bytes. `None` if the length is none.
    pub fn instruction(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length.into()).filter(|bytes| !bytes.is_empty())
    }

    /// Whether `table` is what its readers rely on: addresses ascend, and
    /// every entry has an instruction.
    pub fn is_table(table: &[Self]) -> bool {
        table.iter().all(|entry| entry.instruction().is_some())
            && table.windows(2).all(|pair| pair[0].rip < pair[1].rip)
    }
}

/// What a [`Patch`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PatchKind {
    /// Ticks of the time-stamp counter per second.
    TscHz = 1,
}

impl PatchKind {
    /// The kind of number `number`.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::TscHz),
            _ => None,
        }
    }
}

/// A process that a test lets die.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Injection {
    /// Index of the guest.
    pub guest: u32,
    /// A [`ProgramKind`] number: shadow-server or vmm.
    pub program: u32,
    /// Dies once the guest's server has answered this many faults.
    pub after_faults: u64,
}

/// FNV-1a over `bytes`: finds damage, not malice.
pub fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
