//! The pages that the builder lends: metadata, vCPU state, bounce area.

#![allow(unsafe_code, reason = "lent pages are known by their addresses only")]

use core::mem::size_of;
use core::sync::atomic::AtomicU8;

use protocol::counters::SHADOW_MMU;
use protocol::trace::FaultRecord;
use shadow_core::Counters;
use system::address_map::{
    BOUNCE, BOUNCE_BYTES, COUNTERS, MAX_TRACE, MAX_VCPUS, METADATA, METADATA_LIMIT, REWRITES,
    TRACE, VCPU_STATE,
};
use system::compiled::{MAX_REWRITES, Rewrite};
use vcpu::VcpuState;

/// Everything lent, as references. There is one; `main` makes it.
pub struct Pages {
    /// Zeroed memory for the shadow MMU's records.
    pub metadata: &'static mut [u8],
    /// Counters of the shadow MMU, in the page that the supervisor reads.
    pub counters: &'static mut Counters,
    /// Memory for records of page faults; empty if none are kept.
    pub trace: &'static mut [u8],
    /// Rewritten instructions of the guest's image.
    pub rewrites: &'static [Rewrite],
    /// The shared area, `BOUNCE_BYTES` long.
    pub bounce: Bounce,
}

const _: () = assert!(8 * SHADOW_MMU + size_of::<Counters>() <= 4096);

impl Pages {
    /// Takes what the builder lent.
    ///
    /// # Safety
    /// Called once, in a process that was built as [`system::address_map`]
    /// says, with `metadata_bytes` of metadata, room for `trace` records of
    /// page faults and `rewrites` rewritten instructions mapped.
    pub unsafe fn take(metadata_bytes: u64, trace: u32, rewrites: u32) -> Self {
        let length = metadata_bytes.min(METADATA_LIMIT) as usize;
        // SAFETY: mapped read-write for good and used by nobody else, as the
        // caller promises; bytes have no invalid values.
        let metadata = unsafe { core::slice::from_raw_parts_mut(METADATA as *mut u8, length) };
        // SAFETY: the page of counters is mapped read-write for good; the process
        // counts in the words before these (`process::count`), the supervisor
        // only reads, and words have no invalid values.
        let counters = unsafe { &mut *((COUNTERS + 8 * SHADOW_MMU as u64) as *mut Counters) };
        let length = FaultRecord::BYTES * trace.min(MAX_TRACE) as usize;
        // SAFETY: as for the metadata; of length 0 if nothing is mapped.
        let trace = unsafe { core::slice::from_raw_parts_mut(TRACE as *mut u8, length) };
        let count = (rewrites as usize).min(MAX_REWRITES);
        // SAFETY: mapped read-only for good, page-aligned, and any bytes are
        // entries; of length 0 if nothing is mapped.
        let rewrites = unsafe { core::slice::from_raw_parts(REWRITES as *const Rewrite, count) };
        Self { metadata, counters, trace, rewrites, bounce: Bounce(()) }
    }
}

/// The state page of vCPU number `index`.
///
/// # Safety
/// Called once for each vCPU that the guest has, in a process that was built
/// as [`system::address_map`] says.
pub unsafe fn state(index: usize) -> &'static mut VcpuState {
    let address = VCPU_STATE + 4096 * (index % MAX_VCPUS) as u64;
    // SAFETY: the page is mapped read-write for good; the supervisor touches it
    // only while this process does not run. The structure is smaller than a
    // page and has no invalid values.
    unsafe { &mut *(address as *mut VcpuState) }
}

/// The area through which bulk data moves between server and vmm.
pub struct Bounce(());

impl Bounce {
    /// Its bytes. The vmm may change them at any time, so they are atomics, and
    /// whatever is read here is only a claim.
    pub fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: mapped read-write for good; atomics have no invalid values
        // and tolerate a vmm that writes meanwhile.
        unsafe { core::slice::from_raw_parts(BOUNCE as *const AtomicU8, BOUNCE_BYTES as usize) }
    }
}
