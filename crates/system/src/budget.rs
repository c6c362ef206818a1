//! How much of the machine a system takes: an estimate before it boots.
//!
//! The root task makes the objects and is the judge; this module refuses what
//! cannot fit, early and with names. It errs towards too much by the slack in
//! [`FIXED`] and [`PROCESS_OVERHEAD`].

use crate::compile::{GuestPayload, Programs};
use crate::cspace::{Pools, ServerSlots, driver, vmm};
use crate::manifest::{DEFAULT_GUEST_MEMORY, Diagnostics, Problem, System};

const PAGE: u64 = 4096;
/// Bytes of a capability slot.
const SLOT: u64 = 32;
/// Kernel, firmware's holes, the root task with its CNode of 65,536 slots, and
/// what alignment costs.
const FIXED: u64 = 16 << 20;
/// TCB, endpoints, paging objects and shared pages of a process.
const PROCESS_OVERHEAD: u64 = 128 << 10;
/// Image and stack of a process whose image is not known yet.
const PROCESS_ESTIMATE: u64 = 1 << 20;

/// Address spaces that seL4 numbers: one pool of 512, without number 0 and
/// the root task's.
pub const ADDRESS_SPACES: u64 = 510;
/// Processes that every system has, and that every guest has besides.
pub const DRIVERS: u64 = 2;
/// Processes that every guest has.
pub const PROCESSES_PER_GUEST: u64 = 2;

/// Bytes of shadow MMU metadata for `pools` and `vcpus`, whole pages.
pub fn metadata_bytes(pools: &Pools, vcpus: u32) -> u64 {
    let tables = u64::from(pools.spaces)
        + u64::from(pools.pdpts)
        + u64::from(pools.pds)
        + u64::from(pools.pts);
    let bytes = u64::from(pools.frames) * 64
        + tables * (64 + 512 * 4)
        + u64::from(pools.extra_copies) * 16
        + u64::from(vcpus) * 32_768;
    (65_536 + bytes).next_multiple_of(PAGE)
}

/// What a system takes, by share.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    shares: Vec<(String, u64)>,
    archive: u64,
}

impl Budget {
    /// An estimate from the manifest and the size of its image files alone.
    pub fn estimate(system: &System, image_bytes: u64) -> Self {
        let memory = system
            .guests
            .iter()
            .map(|guest| guest.memory_bytes.unwrap_or(DEFAULT_GUEST_MEMORY));
        Self::new(system, memory.collect(), [PROCESS_ESTIMATE; 4], image_bytes)
    }

    /// What the compiled system takes; its archive has `archive` bytes.
    pub fn of_compiled(
        system: &System,
        programs: &Programs,
        payloads: &[GuestPayload],
        archive: u64,
    ) -> Self {
        let memory = payloads
            .iter()
            .map(|payload| payload.memory_bytes)
            .collect();
        Self::new(
            system,
            memory,
            programs.each_ref().map(|program| program.pages() * PAGE),
            archive,
        )
    }

    fn new(system: &System, memory: Vec<u64>, processes: [u64; 4], archive: u64) -> Self {
        let [server, vmm, console, timer] =
            processes.map(|image| image + image / 512 + PROCESS_OVERHEAD);
        let driver_slots = 2 * (SLOT << driver::RADIX);
        let mut shares = vec![
            (
                "kernel, root task and drivers".to_owned(),
                FIXED + console + timer + driver_slots,
            ),
            ("archive".to_owned(), archive),
        ];
        for (guest, memory) in system.guests.iter().zip(memory) {
            let bytes = memory + guest_overhead(&guest.pools(memory), guest.vcpus) + server + vmm;
            shares.push((format!("guest `{}`", guest.name), bytes));
        }
        Self { shares, archive }
    }

    /// Bytes of the machine's RAM that the system needs. While it boots, the
    /// archive is there twice: in the boot module and in the root task.
    pub fn bytes(&self) -> u64 {
        let running = self.shares.iter().map(|(_, bytes)| bytes).sum();
        (FIXED + 2 * self.archive).max(running)
    }

    /// Whether the machine of `system` is large enough.
    ///
    /// # Errors
    /// [`Problem::MachineTooSmall`].
    pub fn check(self, system: &System) -> Result<(), Diagnostics> {
        let (machine, needed) = (system.machine.memory_bytes, self.bytes());
        if needed <= machine {
            return Ok(());
        }
        let mut shares = self.shares;
        shares.sort_by_key(|(_, bytes)| core::cmp::Reverse(*bytes));
        Err(system.refuse_memory(Problem::MachineTooSmall {
            machine,
            needed,
            shares,
        }))
    }
}

/// What a guest's server owns or needs besides guest frames and its image.
fn guest_overhead(pools: &Pools, vcpus: u32) -> u64 {
    let tables = u64::from(pools.spaces)
        + u64::from(pools.pdpts)
        + u64::from(pools.pds)
        + u64::from(pools.pts);
    let metadata = metadata_bytes(pools, vcpus);
    let window_tables = u64::from(pools.frames) / 512 + 4;
    let cnodes = (SLOT << ServerSlots::new(pools).radix()) + (SLOT << vmm::RADIX);
    tables * PAGE + metadata + metadata / 512 + window_tables * PAGE + cnodes
}
