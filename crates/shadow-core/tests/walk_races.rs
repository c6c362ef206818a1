//! Guest tables that change during a walk, and tables that cannot change.

use crate::model::machine::{A, D, Machine, P, ROOMY, W};
use shadow_core::{
    Access, FaultOutcome, FrameKind, HostMap, PagingContext, VcpuId, WALK_ATTEMPTS, WalkFailure,
    walk,
};
use x86::{Gfn, Gva, Level};

struct Rom(u64);

impl HostMap for Rom {
    fn kind(&self, gfn: Gfn) -> FrameKind {
        if gfn.get() == self.0 { FrameKind::ReadOnly } else { FrameKind::Ram }
    }
}

const NOTHING_READ_ONLY: Rom = Rom(u64::MAX);

fn guest() -> (Machine, u64) {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x5000, 100, P | W);
    let leaf = machine.entry(Level::L1, 0x5000);
    (machine, leaf)
}

fn cpu() -> PagingContext {
    PagingContext { vcpu: VcpuId::BOOT, root: Gfn::new(1), write_protect: true, user: false }
}

#[test]
fn a_changed_leaf_is_walked_again() {
    let (machine, leaf) = guest();
    // Before the first A update: the leaf moves to another frame.
    machine.ram.interference.borrow_mut().push((leaf, 101 << 12 | P | W));
    let walk = walk(&machine.ram, &NOTHING_READ_ONLY, &cpu(), Gva::new(0x5000), Access::Write)
        .expect("a translation");
    assert_eq!(walk.gfn, Gfn::new(101));
    assert_eq!(machine.ram.peek(leaf), 101 << 12 | P | W | A | D);
}

#[test]
fn rights_taken_away_during_the_walk_are_honoured() {
    let (machine, leaf) = guest();
    machine.ram.interference.borrow_mut().push((leaf, 100 << 12 | P));
    let result = walk(&machine.ram, &NOTHING_READ_ONLY, &cpu(), Gva::new(0x5000), Access::Write);
    assert!(
        matches!(result, Err(WalkFailure::PageFault(fault)) if fault.code.bits() == 3),
        "{result:?}"
    );
    assert_eq!(machine.ram.peek(leaf) & D, 0, "no D for a write that faults");
}

#[test]
fn a_guest_that_never_stops_changing_is_told_to_retry() {
    let (mut machine, leaf) = guest();
    // Every compare-exchange of the leaf meets another value.
    for turn in 0..4 * u64::from(WALK_ATTEMPTS) {
        machine
            .ram
            .interference
            .borrow_mut()
            .push((leaf, (100 + turn % 2) << 12 | P | W | turn << 52));
    }
    assert_eq!(machine.fault(0x5000, Access::Read), FaultOutcome::Retry);
    assert_eq!(machine.mmu.counters().inconsistent_gwalk, 1);
    machine.ram.interference.borrow_mut().clear();
    assert!(machine.touch(0x5000, Access::Read).is_ok());
}

#[test]
fn updates_of_tables_in_read_only_memory_are_dropped() {
    let (machine, leaf) = guest();
    let before = machine.ram.peek(leaf);
    let rom = Rom(leaf >> 12);
    let walk =
        walk(&machine.ram, &rom, &cpu(), Gva::new(0x5000), Access::Write).expect("a translation");
    assert!(walk.dirty);
    assert_eq!(machine.ram.peek(leaf), before);
    let root_entry = 1 << 12;
    assert_eq!(machine.ram.peek(root_entry) & A, A, "other tables are updated");
}
