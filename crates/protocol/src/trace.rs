//! What became of each page fault: a ring of records in memory that a
//! shadow-server writes and the supervisor reads.
//!
//! The ring has no header. Records are numbered from 1, so that a reader finds
//! the newest by its number, and empty places by 0.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One page fault.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FaultRecord {
    /// Its number, from 1; 0 is an empty place.
    pub number: u64,
    /// When it was handled, in ticks of the time-stamp counter.
    pub tick: u64,
    /// What handling it took, in the same.
    pub ticks: u64,
    /// The instruction.
    pub rip: u64,
    /// The address.
    pub gva: u64,
    /// The frame of the guest's PML4.
    pub root: u64,
    /// The frame mapped, or the one outside RAM or read-only; all ones for none.
    pub gfn: u64,
    /// Capability operations.
    pub operations: u16,
    /// Index in [`FaultRecord::OUTCOMES`].
    pub outcome: u8,
    /// Index in [`FaultRecord::ACCESSES`].
    pub access: u8,
    /// Index in [`FaultRecord::VIEWS`].
    pub view: u8,
    /// The vCPU.
    pub vcpu: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<FaultRecord>() == FaultRecord::BYTES);
const _: () = assert!(system::address_map::trace_bytes(64) == 64 * FaultRecord::BYTES as u64);

impl FaultRecord {
    /// Bytes of a record; pages hold a whole number of them.
    pub const BYTES: usize = 64;
    /// Names of outcomes.
    pub const OUTCOMES: [&str; 11] = [
        "filled",
        "healed",
        "guest-fault",
        "non-canonical",
        "not-ram",
        "read-only",
        "retry",
        "unmappable",
        "not-active",
        "failed",
        "again",
    ];
    /// Names of accesses.
    pub const ACCESSES: [&str; 3] = ["read", "write", "execute"];
    /// Names of views.
    pub const VIEWS: [&str; 3] = ["kernel", "kernel-wp0", "user"];
}

/// The ring.
pub struct Trace<'a> {
    records: &'a mut [FaultRecord],
    pushed: u64,
}

impl<'a> Trace<'a> {
    /// A ring of the records that fit in `memory`, which is aligned to 8 bytes;
    /// `None` if not even one does.
    pub fn new(memory: &'a mut [u8]) -> Option<Self> {
        let count = memory.len() / FaultRecord::BYTES;
        let (records, _) = <[FaultRecord]>::mut_from_prefix_with_elems(memory, count).ok()?;
        records.fill(FaultRecord::default());
        (count > 0).then_some(Self { records, pushed: 0 })
    }

    /// Adds a record in the place of the oldest, and numbers it.
    pub fn push(&mut self, record: FaultRecord) {
        let place = (self.pushed % self.records.len() as u64) as usize;
        self.pushed += 1;
        self.records[place] = FaultRecord { number: self.pushed, ..record };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_record_gives_way() {
        let mut words = [7_u64; 8 * 3];
        let mut trace = Trace::new(words.as_mut_bytes()).expect("three records fit");
        for gfn in 0..5 {
            trace.push(FaultRecord { gfn, ..FaultRecord::default() });
        }
        let bytes = words.as_bytes().chunks_exact(FaultRecord::BYTES);
        let mut seen: Vec<_> = bytes
            .map(|bytes| FaultRecord::read_from_bytes(bytes).expect("whole records"))
            .map(|record| (record.number, record.gfn))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [(3, 2), (4, 3), (5, 4)]);
    }

    #[test]
    fn a_ring_without_room_for_a_record_is_none() {
        assert!(Trace::new(&mut []).is_none());
    }
}
