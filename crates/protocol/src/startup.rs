//! The startup page: what the supervisor tells a process at its start.

use system::compiled::{GpaRange, VcpuStart};
use system::cspace::Pools;
use system::name::Name;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most read-only ranges of a guest.
pub use system::compiled::MAX_READ_ONLY;

/// The startup page, at [`system::address_map::STARTUP`], read only.
/// Fields that do not concern a process are zero.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Startup {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The process's number, as in its badges.
    pub process: u32,
    /// The process's name, for people.
    pub name: Name,
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// Bytes of the guest's RAM.
    pub memory_bytes: u64,
    /// Bytes of zeroed metadata at [`system::address_map::METADATA`].
    pub metadata_bytes: u64,
    /// The guest's platform.
    pub platform: u32,
    /// The guest's vCPUs.
    pub vcpus: u32,
    /// What the server owns.
    pub pools: Pools,
    /// How many of `read_only` count.
    pub read_only_count: u32,
    /// Priority of the guest's processes and vCPUs.
    pub priority: u32,
    /// Records of page faults that fit in the pages at [`system::address_map::TRACE`].
    pub trace: u32,
    /// Records to check after each message.
    pub audit: u32,
    /// Instructions of the guest's image that are known by address, at
    /// [`system::address_map::REWRITES`].
    pub rewrites: u32,
    /// Capability operations of one request at most.
    pub budget: u32,
    /// Memory that the guest must not write.
    pub read_only: [GpaRange; MAX_READ_ONLY],
    /// Where the first vCPU starts.
    pub start: VcpuStart,
    /// Where the other vCPUs wait to be started; RDI is the address of the
    /// mailbox.
    pub secondary: VcpuStart,
}

const _: () = assert!(size_of::<Startup>() <= 4096);

impl Startup {
    /// The read-only ranges that count.
    pub fn read_only(&self) -> &[GpaRange] {
        let count = (self.read_only_count as usize).min(MAX_READ_ONLY);
        &self.read_only[..count]
    }
}
