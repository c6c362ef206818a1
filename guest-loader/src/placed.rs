//! What placing a guest takes and gives.

use std::fmt;

use system::compiled::{PatchKind, Platform, Rewrite, VcpuStart};
use x86::Gpa;

/// A guest image file: its bytes, and the name that messages call it by.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Path as the user wrote it.
    pub name: &'a str,
    /// The whole file.
    pub bytes: &'a [u8],
}

/// How a guest is to be placed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Guest memory in bytes; `None` asks for [`crate::default_memory`].
    pub memory_bytes: Option<u64>,
    /// Arguments; the guest sees them joined by single spaces.
    pub arguments: Vec<String>,
    /// Devices attached to the guest (platform `solo5-hvt`).
    pub devices: Vec<Device>,
    /// Virtual processors; 0 counts as 1, and platform `solo5-hvt` has no more.
    pub vcpus: u32,
    /// Rewrite instructions that do not trap, or that trap at a high price.
    pub rewrite: bool,
}

/// A device that the system attaches to a Solo5 guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Name in the guest's manifest note.
    pub name: String,
    /// Kind and properties.
    pub kind: DeviceKind,
}

/// Kind of an attached device, with what the guest is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `BLOCK_BASIC`.
    Block {
        /// Size in bytes.
        capacity: u64,
        /// Bytes of one block.
        block_size: u16,
    },
    /// `NET_BASIC`.
    Net {
        /// Hardware address.
        mac: [u8; 6],
        /// Largest payload of one frame, in bytes.
        mtu: u16,
    },
}

/// A guest ready to be stored in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedGuest {
    /// Platform that the image was placed for.
    pub platform: Platform,
    /// Guest memory in bytes: RAM is `[0, memory_bytes)`.
    pub memory_bytes: u64,
    /// Bytes to copy into zeroed memory: page-aligned, ascending, disjoint.
    /// Pages that are all zero are left out.
    pub loads: Vec<Load>,
    /// Page-aligned, ascending, disjoint ranges `[start, end)` of guest memory
    /// that the guest may never write, whatever its page tables say.
    pub read_only: Vec<(Gpa, Gpa)>,
    /// Values known only at boot.
    pub patches: Vec<Patch>,
    /// The first vCPU's state at its first instruction.
    pub start: VcpuStart,
    /// The state in which the other vCPUs wait to be started, if there are any.
    pub secondary: Option<VcpuStart>,
    /// What stood where the image was rewritten, by ascending address; empty
    /// for an image that was not.
    pub rewrites: Vec<Rewrite>,
    /// What was decided, for people: one sentence each.
    pub notes: Vec<String>,
}

/// Consecutive pages of guest memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Load {
    /// Address of the first byte; a multiple of 4096.
    pub gpa: Gpa,
    /// Content; its length is a multiple of 4096.
    pub bytes: Vec<u8>,
}

impl PlacedGuest {
    /// Says which promise of its fields the value breaks, if any: for tests
    /// and fuzzing.
    pub fn violation(&self) -> Option<&'static str> {
        let aligned = |gpa: Gpa| gpa.page_offset() == 0;
        let ascending = |ranges: &[(Gpa, Gpa)]| {
            ranges.iter().all(|&(start, end)| start < end && end.get() <= self.memory_bytes)
                && ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0)
        };
        let loads: Vec<_> = self.loads.iter().map(|load| (load.gpa, load.end())).collect();
        let in_loads = |gpa: Gpa| loads.iter().any(|&(start, end)| start <= gpa && gpa < end);
        let rules = [
            (ascending(&loads), "loads ascend, do not overlap and lie in memory"),
            (
                ascending(&self.read_only),
                "read-only ranges ascend, do not overlap and lie in memory",
            ),
            (
                loads.iter().all(|&(start, end)| aligned(start) && aligned(end)),
                "loads are whole pages",
            ),
            (
                self.read_only.iter().all(|&(start, end)| aligned(start) && aligned(end)),
                "read-only ranges are whole pages",
            ),
            (
                self.patches.iter().all(|patch| patch.gpa.get() % 8 == 0 && in_loads(patch.gpa)),
                "patches are aligned words inside loads",
            ),
            (Rewrite::is_table(&self.rewrites), "rewritten instructions ascend and have lengths"),
            (self.start.rip < self.memory_bytes, "the first instruction lies in memory"),
            (
                self.secondary.is_none_or(|start| in_loads(Gpa::new(start.rip))),
                "other vCPUs wait in what is loaded",
            ),
        ];
        rules.into_iter().find_map(|(kept, rule)| if kept { None } else { Some(rule) })
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Load({:#x}-{:#x})", self.gpa, self.end())
    }
}

impl Load {
    /// Address behind the last byte.
    pub fn end(&self) -> Gpa {
        Gpa::new(self.gpa.get() + self.bytes.len() as u64)
    }
}

/// Eight bytes of guest memory that the root task fills in at boot, as a
/// little-endian word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Address; a multiple of 8, inside a load.
    pub gpa: Gpa,
    /// What goes there.
    pub kind: PatchKind,
}
