//! What became of each page fault: a ring of records in lent memory.
//!
//! The ring has no header. Records are numbered from 1, so that a reader finds
//! the newest by its number, and empty places by 0.

use x86::{Gfn, Gva};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::{Access, PagingContext, View};
use crate::fault::FaultOutcome;

/// One page fault.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FaultRecord {
    /// Its number, from 1; 0 is an empty place.
    pub number: u64,
    /// When it was handled, in ticks of the caller's clock.
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
    _reserved: [u8; 2],
}

const _: () = assert!(size_of::<FaultRecord>() == FaultRecord::BYTES);

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

    /// What is known of a fault before it is handled.
    pub fn new(cpu: &PagingContext, rip: u64, gva: Gva, access: Access, tick: u64) -> Self {
        Self {
            tick,
            rip,
            gva: gva.get(),
            root: cpu.root.get(),
            gfn: u64::MAX,
            access: match access {
                Access::Read => 0,
                Access::Write => 1,
                Access::Execute => 2,
            },
            view: match cpu.view() {
                View::Kernel => 0,
                View::KernelWp0 => 1,
                View::User => 2,
            },
            vcpu: cpu.vcpu.index() as u8,
            ..Self::default()
        }
    }

    /// Adds what became of it.
    pub fn conclude(&mut self, outcome: &FaultOutcome, operations: u64, tick: u64) {
        self.ticks = tick.saturating_sub(self.tick);
        self.operations = u16::try_from(operations).unwrap_or(u16::MAX);
        let gfn: Option<Gfn>;
        (self.outcome, gfn) = match *outcome {
            FaultOutcome::Filled { gfn, healed, .. } => (u8::from(healed), Some(gfn)),
            FaultOutcome::GuestFault(_) => (2, None),
            FaultOutcome::NonCanonical => (3, None),
            FaultOutcome::NotRam { gpa, .. } => (4, Some(gpa.gfn())),
            FaultOutcome::ReadOnlyMemory { gpa } => (5, Some(gpa.gfn())),
            FaultOutcome::Retry => (6, None),
            FaultOutcome::Unmappable { .. } => (7, None),
            FaultOutcome::NotActive => (8, None),
            FaultOutcome::Failed(_) => (9, None),
            FaultOutcome::Again => (10, None),
        };
        self.gfn = gfn.map_or(u64::MAX, Gfn::get);
    }
}

/// The ring.
pub struct Trace<'a> {
    records: &'a mut [FaultRecord],
    next: u64,
}

impl<'a> Trace<'a> {
    /// A ring of the records that fit in `memory`, which is aligned to 8 bytes;
    /// `None` if not even one does.
    pub fn new(memory: &'a mut [u8]) -> Option<Self> {
        let count = memory.len() / FaultRecord::BYTES;
        let (records, _) = <[FaultRecord]>::mut_from_prefix_with_elems(memory, count).ok()?;
        records.fill(FaultRecord::default());
        (count > 0).then_some(Self { records, next: 0 })
    }

    /// Adds a record in the place of the oldest.
    pub fn push(&mut self, record: FaultRecord) {
        let place = (self.next % self.records.len() as u64) as usize;
        self.next += 1;
        self.records[place] = FaultRecord {
            number: self.next,
            ..record
        };
    }

    /// Records in the ring, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &FaultRecord> {
        let start = (self.next % self.records.len() as u64) as usize;
        let (newer, older) = self.records.split_at(start);
        older
            .iter()
            .chain(newer)
            .filter(|record| record.number != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::VcpuId;

    #[test]
    fn the_oldest_record_gives_way() {
        let mut words = [0_u64; 8 * 3];
        let mut trace = Trace::new(words.as_mut_bytes()).expect("three records fit");
        let cpu = PagingContext {
            vcpu: VcpuId::BOOT,
            root: Gfn::new(1),
            write_protect: true,
            user: true,
        };
        for page in 0..5 {
            let gva = Gva::new(page << 12);
            let mut record = FaultRecord::new(&cpu, 0x1000, gva, Access::Write, 10 * page);
            let filled = FaultOutcome::Filled {
                gfn: Gfn::new(100 + page),
                writable: true,
                healed: false,
            };
            record.conclude(&filled, 2, 10 * page + 3);
            trace.push(record);
        }
        let seen: Vec<_> = trace
            .records()
            .map(|record| (record.number, record.gfn, record.ticks))
            .collect();
        assert_eq!(seen, [(3, 102, 3), (4, 103, 3), (5, 104, 3)]);
        let first = trace.records().next().expect("there are three");
        assert_eq!(FaultRecord::OUTCOMES[usize::from(first.outcome)], "filled");
        assert_eq!(FaultRecord::ACCESSES[usize::from(first.access)], "write");
        assert_eq!(FaultRecord::VIEWS[usize::from(first.view)], "user");
    }

    #[test]
    fn a_ring_without_room_for_a_record_is_none() {
        assert!(Trace::new(&mut []).is_none());
    }
}
