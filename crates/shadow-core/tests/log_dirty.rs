//! The log of written frames: named cases. `legal.rs` has the random ones.

use crate::model::machine::{A, D, Machine, P, ROOMY, W};
use crate::model::scenario::{ALL, BASE, entry_of, link};
use shadow_core::Access;
use x86::Gfn;

/// Frames that the log calls dirty, all read; and the number of calls.
fn dirty(machine: &mut Machine) -> (Vec<u64>, usize) {
    let (mut next, mut found, mut calls) = (Gfn::new(0), vec![], 0);
    while next.get() < ROOMY.frames.into() {
        let mut bits = [0; 4];
        let first = next.get();
        machine.kernel.take_calls();
        next = machine.mmu.read_dirty(next, &mut bits, &mut machine.kernel).expect("kernel works");
        assert!(machine.kernel.calls.len() <= 128);
        calls += 1;
        found.extend((first..next.get()).filter(|frame| {
            let bit = frame - first;
            bits[bit as usize / 64] >> (bit % 64) & 1 != 0
        }));
        machine.check();
    }
    (found, calls)
}

#[test]
fn everything_is_dirty_once() {
    let mut machine = Machine::new(ROOMY);
    machine.mmu.start_log_dirty();
    assert_eq!(dirty(&mut machine).0.len(), ROOMY.frames as usize);
    assert_eq!(dirty(&mut machine).0, []);
}

#[test]
fn a_write_through_a_mapping_from_before_is_noticed() {
    let mut machine = Machine::new(ROOMY);
    machine.map(BASE, 100, ALL);
    machine.touch(BASE, Access::Write).expect("mapped");
    machine.mmu.start_log_dirty();
    dirty(&mut machine);
    assert_eq!(machine.allows(BASE, Access::Write), None);
    assert!(machine.allows(BASE, Access::Read).is_some(), "reads go on");
    machine.touch(BASE, Access::Write).expect("mapped");
    assert_eq!(dirty(&mut machine).0, [100]);
    assert_eq!(dirty(&mut machine).0, []);
}

#[test]
fn reads_and_neighbours_leave_frames_clean() {
    let mut machine = Machine::new(ROOMY);
    for page in 0..8 {
        machine.map(BASE + page * 4096, 100 + page, ALL);
    }
    machine.mmu.start_log_dirty();
    dirty(&mut machine);
    machine.touch(BASE, Access::Read).expect("mapped");
    assert!(machine.mmu.counters().prefault > 0);
    assert!(dirty(&mut machine).0.iter().all(|&frame| frame < 100));
    machine.touch(BASE + 4096, Access::Write).expect("mapped");
    assert_eq!(dirty(&mut machine).0, [101]);
}

#[test]
fn a_and_d_updates_are_writes_of_the_tables() {
    let mut machine = Machine::new(ROOMY);
    machine.map(BASE, 100, P | W);
    let table = machine.entry(x86::Level::L1, BASE) >> 12;
    machine.mmu.start_log_dirty();
    dirty(&mut machine);
    machine.touch(BASE, Access::Read).expect("mapped");
    assert_ne!(machine.ram.peek(machine.cpu.root.get() << 12) & A, 0);
    let found = dirty(&mut machine).0;
    assert!(found.contains(&table) && !found.contains(&100), "{found:?}");
    machine.touch(BASE, Access::Write).expect("mapped");
    assert_ne!(machine.ram.peek(table << 12) & D, 0);
    assert_eq!(
        dirty(&mut machine).0,
        [100, table]
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn servers_and_tables_out_of_sync_are_logged() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.store(entry_of(300, 1), 0);
    machine.mmu.start_log_dirty();
    dirty(&mut machine);
    machine.store(entry_of(300, 2), 0);
    assert_eq!(dirty(&mut machine).0, [300], "out of sync, and written again");
    machine.poke(101 << 12, 7);
    assert_eq!(dirty(&mut machine).0, [101]);
}

#[test]
fn a_call_is_bounded_and_goes_on_where_it_stopped() {
    let mut machine = Machine::new(ROOMY);
    for page in 0..250 {
        machine.map(BASE + page * 4096, 100 + page, ALL);
        machine.touch(BASE + page * 4096, Access::Write).expect("mapped");
    }
    machine.mmu.start_log_dirty();
    let (found, calls) = dirty(&mut machine);
    assert_eq!(found.len(), ROOMY.frames as usize);
    assert!(calls > 4, "{calls} calls: four have bits enough, the rest are for operations");
    assert_eq!(dirty(&mut machine).0, []);
}
