//! How much of the machine a system takes: an estimate before it boots.
//!
//! The root task makes the objects and is the judge; this module refuses what
//! cannot fit, early and with names. It errs towards too much by the slack in
//! [`FIXED`] and [`PROCESS_OVERHEAD`].

use crate::address_map;
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

/// The pools as the shadow MMU counts them; `None` if it has no numbers for
/// so many.
fn shadow_pools(pools: &Pools) -> Option<shadow_core::Pools> {
    Some(shadow_core::Pools {
        frames: pools.frames,
        extra_copies: pools.extra_copies,
        spaces: pools.spaces.try_into().ok()?,
        pdpts: pools.pdpts.try_into().ok()?,
        pds: pools.pds.try_into().ok()?,
        pts: pools.pts.try_into().ok()?,
    })
}

/// Bytes of records that the shadow MMU keeps for `pools`, whole pages.
///
/// # Panics
/// If the pools are larger than a manifest may ask for.
pub fn metadata_bytes(pools: &Pools) -> u64 {
    let pools =
        shadow_pools(pools).expect("the schema limits pools to what the shadow MMU can number");
    (pools.required_bytes() as u64).next_multiple_of(PAGE)
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
        let memory =
            system.guests.iter().map(|guest| guest.memory_bytes.unwrap_or(DEFAULT_GUEST_MEMORY));
        Self::new(system, memory.collect(), [PROCESS_ESTIMATE; 4], image_bytes)
    }

    /// What the compiled system takes; its archive has `archive` bytes.
    pub fn of_compiled(
        system: &System,
        programs: &Programs,
        payloads: &[GuestPayload],
        archive: u64,
    ) -> Self {
        let memory = payloads.iter().map(|payload| payload.memory_bytes).collect();
        let mut budget = Self::new(
            system,
            memory,
            programs.each_ref().map(|program| program.pages() * PAGE),
            archive,
        );
        let tables = payloads.iter().map(|payload| &payload.rewrites);
        // The shares of guests come last, in their order.
        for (share, table) in budget.shares.iter_mut().rev().zip(tables.rev()) {
            share.1 += (size_of_val(&table[..]) as u64).next_multiple_of(PAGE);
        }
        budget
    }

    fn new(system: &System, memory: Vec<u64>, processes: [u64; 4], archive: u64) -> Self {
        let [server, vmm, console, timer] =
            processes.map(|image| image + image / 512 + PROCESS_OVERHEAD);
        let driver_slots = 2 * (SLOT << driver::RADIX);
        let mut shares = vec![
            ("kernel, root task and drivers".to_owned(), FIXED + console + timer + driver_slots),
            ("archive".to_owned(), archive),
        ];
        for (guest, memory) in system.guests.iter().zip(memory) {
            let trace = address_map::trace_bytes(guest.shadow.trace);
            let bytes = memory + trace + guest_overhead(&guest.pools(memory)) + server + vmm;
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
        Err(system.refuse_memory(Problem::MachineTooSmall { machine, needed, shares }))
    }
}

/// What a guest's server owns or needs besides guest frames and its image.
fn guest_overhead(pools: &Pools) -> u64 {
    let tables = u64::from(pools.spaces)
        + u64::from(pools.pdpts)
        + u64::from(pools.pds)
        + u64::from(pools.pts);
    let metadata = metadata_bytes(pools);
    let window_tables = u64::from(pools.frames) / 512 + 4;
    let cnodes = (SLOT << ServerSlots::new(pools).radix()) + (SLOT << vmm::RADIX);
    tables * PAGE + metadata + metadata / 512 + window_tables * PAGE + cnodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_map::{METADATA_LIMIT, WINDOW_LIMIT};
    use crate::manifest::Shadow;
    use crate::manifest::schema::{Kind, SHADOW};

    /// The least and the most of what a manifest can ask for.
    fn limits() -> [Shadow; 2] {
        let of = |name| match SHADOW.key(name).unwrap().kind {
            Kind::Integer { min, max, .. } => [min as u32, max as u32],
            _ => panic!("{name} is a number"),
        };
        let (tables, spaces, extra_copies) = (of("tables"), of("spaces"), of("extra-copies"));
        [0, 1].map(|i| Shadow {
            tables: tables[i],
            spaces: spaces[i],
            extra_copies: extra_copies[i],
            trace: 0,
            audit: 0,
            budget: 128,
        })
    }

    #[test]
    fn the_shadow_mmu_accepts_every_manifests_pools() {
        for shadow in limits().into_iter().chain([Shadow::default()]) {
            for memory in [2 << 20, WINDOW_LIMIT] {
                for vcpus in [1, address_map::MAX_VCPUS as u32] {
                    let pools = shadow_pools(&shadow.pools(memory, vcpus)).unwrap();
                    assert_eq!(pools.check(), Ok(()), "{shadow:?}");
                    let least = vcpus as u16;
                    assert!(pools.spaces > least && pools.pts >= 18 * least);
                }
            }
        }
    }

    #[test]
    fn metadata_always_fits_its_region() {
        let largest = limits()[1].pools(WINDOW_LIMIT, address_map::MAX_VCPUS as u32);
        assert!(metadata_bytes(&largest) <= METADATA_LIMIT);
    }

    #[test]
    fn one_guest_of_each_size_fits_where_it_should() {
        // 32 MiB of guest memory and default pools cost less than 16 MiB more.
        let overhead = guest_overhead(&Shadow::default().pools(32 << 20, 1));
        assert!((4 << 20..16 << 20).contains(&overhead), "{overhead}");
    }
}
