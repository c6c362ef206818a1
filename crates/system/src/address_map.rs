//! What lies where in the address space of every process.
//!
//! All processes share one map, so that a crash report can be read without
//! knowing which process it is about. Regions that a process does not use
//! stay unmapped. Pages on both sides of the stack, the IPC buffer and each
//! shared page stay unmapped too: they are the guard pages.

/// Link address of every process image.
pub const IMAGE: u64 = 0x40_0000;
/// One past the highest address of a process image.
pub const IMAGE_END: u64 = 0x2000_0000;
/// One past the highest stack byte; the stack grows down from here and an
/// unmapped guard page lies below it.
pub const STACK_TOP: u64 = 0x4000_0000;
/// The IPC buffer's page.
pub const IPC_BUFFER: u64 = 0x4000_1000;
/// The [startup page](crate::compiled), read only.
pub const STARTUP: u64 = 0x4000_3000;
/// Counters that the process keeps and the supervisor reads.
pub const COUNTERS: u64 = 0x4000_5000;
/// First of the vCPU state pages (shadow-server only), one page per vCPU.
pub const VCPU_STATE: u64 = 0x4000_7000;
/// The bounce area that a guest's shadow-server and vmm share.
pub const BOUNCE: u64 = 0x4001_0000;
/// Pages of the bounce area.
pub const BOUNCE_PAGES: u64 = 4;
/// Bytes of the bounce area: the most that one guest read or write moves.
pub const BOUNCE_BYTES: u64 = BOUNCE_PAGES * 4096;
/// Records of page faults (shadow-server only), read-write, zeroed.
pub const TRACE: u64 = 0x5000_0000;
/// Most records of page faults.
pub const MAX_TRACE: u32 = 65_536;
/// Rewritten instructions of the guest's image (shadow-server only), read only.
pub const REWRITES: u64 = 0x6000_0000;
/// Most bytes of them.
pub const REWRITES_LIMIT: u64 = 0x100_0000;
/// Metadata of the shadow MMU (shadow-server only), read-write, zeroed.
pub const METADATA: u64 = 0x8000_0000;
/// Most bytes of metadata.
pub const METADATA_LIMIT: u64 = 0x4000_0000;
/// The window on guest memory (shadow-server only): guest-physical address
/// `gpa` lies at `WINDOW + gpa`.
pub const WINDOW: u64 = 0x100_0000_0000;
/// Most bytes of guest memory.
pub const WINDOW_LIMIT: u64 = 0x1_0000_0000;

/// Most vCPUs of a guest.
pub const MAX_VCPUS: usize = 8;

const _: () = assert!(VCPU_STATE + 4096 * MAX_VCPUS as u64 <= BOUNCE - 4096);
const _: () = assert!(BOUNCE + BOUNCE_BYTES < TRACE);

/// Bytes of the pages that hold `records` records of page faults.
pub const fn trace_bytes(records: u32) -> u64 {
    const RECORD: u64 = 64;
    (records as u64 * RECORD).next_multiple_of(4096)
}

const _: () = assert!(TRACE + trace_bytes(MAX_TRACE) < REWRITES);
const _: () = assert!(REWRITES + REWRITES_LIMIT < METADATA);

/// A region of the map, for documentation and crash reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// What people call it.
    pub name: &'static str,
    /// First address.
    pub start: u64,
    /// One past the last address it may use.
    pub end: u64,
}

/// All regions in ascending order.
pub const REGIONS: [Region; 11] = [
    Region { name: "image", start: IMAGE, end: IMAGE_END },
    Region { name: "stack", start: 0x3000_0000, end: STACK_TOP },
    Region { name: "IPC buffer", start: IPC_BUFFER, end: IPC_BUFFER + 4096 },
    Region { name: "startup page", start: STARTUP, end: STARTUP + 4096 },
    Region { name: "counters", start: COUNTERS, end: COUNTERS + 4096 },
    Region { name: "vCPU state", start: VCPU_STATE, end: VCPU_STATE + 4096 * MAX_VCPUS as u64 },
    Region { name: "bounce area", start: BOUNCE, end: BOUNCE + BOUNCE_BYTES },
    Region { name: "trace", start: TRACE, end: TRACE + trace_bytes(MAX_TRACE) },
    Region { name: "rewritten instructions", start: REWRITES, end: REWRITES + REWRITES_LIMIT },
    Region { name: "metadata", start: METADATA, end: METADATA + METADATA_LIMIT },
    Region { name: "guest window", start: WINDOW, end: WINDOW + WINDOW_LIMIT },
];

/// The region that `address` lies in, or `None` for guard pages and the rest.
pub fn region_of(address: u64) -> Option<&'static Region> {
    REGIONS.iter().find(|region| (region.start..region.end).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_ascend_without_overlap() {
        for pair in REGIONS.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{pair:?}");
        }
    }

    #[test]
    fn guards_lie_outside_every_region() {
        for guard in [STACK_TOP, IPC_BUFFER + 4096, BOUNCE - 4096, BOUNCE + BOUNCE_BYTES] {
            assert_eq!(region_of(guard), None, "{guard:#x}");
        }
    }
}
