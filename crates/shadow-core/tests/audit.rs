//! Audits in steps, as a running system makes them.

use crate::model::machine::{Machine, ROOMY};
use crate::model::scenario::{ALL, BASE, REGION, entry_of, link};
use shadow_core::{Access, AuditCursor, Defect, Invariant, Policy, Promotion, Violation};

/// Checks three units at a time until all were looked at, or one is wrong.
fn audit(machine: &Machine) -> Result<u32, Violation> {
    let mut cursor = AuditCursor::default();
    for steps in 1.. {
        if machine.mmu.audit_some(&mut cursor, 3, &machine.ram)? {
            return Ok(steps);
        }
    }
    unreachable!("units are numbered")
}

#[test]
fn a_pass_looks_at_every_record() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.store(entry_of(300, 1), 0);
    let steps = audit(&machine).expect("nothing is wrong");
    let tables = u32::from(ROOMY.pdpts + ROOMY.pds + ROOMY.pts + ROOMY.spaces);
    let units = ROOMY.frames + ROOMY.extra_copies + tables + u32::from(ROOMY.spaces) + 5;
    assert_eq!(steps, units / 3 + 1);
}

#[test]
fn records_may_change_between_the_steps() {
    let mut machine = Machine::new(ROOMY);
    let mut cursor = AuditCursor::default();
    let mut passes = 0;
    for page in 0..600 {
        let va = BASE + page % 7 * REGION + page % 90 * 4096;
        machine.map(va, 100 + page % 50, ALL);
        machine.touch(va, Access::Write).expect("mapped");
        if page % 40 == 0 {
            machine.load_cr3(1);
        }
        let done = machine.mmu.audit_some(&mut cursor, 20, &machine.ram);
        passes += u32::from(done.expect("nothing is wrong"));
    }
    assert!(passes > 5, "{passes}");
}

#[test]
fn a_writable_mapping_of_a_table_is_found() {
    let policy = Policy {
        promotion: Promotion::Recorded,
        defect: Some(Defect::WriteAccessKept),
        ..Policy::DEFAULT
    };
    let mut machine = Machine::with_policy(ROOMY, policy);
    machine.store(entry_of(300, 0), 0);
    link(&mut machine, 0, 300, 100);
    let found = audit(&machine).expect_err("the table is writable");
    assert_eq!((found.invariant, found.place), (Invariant::S14, 300));
    assert_eq!(found.to_string(), "S14 does not hold at 0x12c");
}

#[test]
fn a_table_that_was_written_behind_the_shadow_is_found() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.ram.poke(entry_of(300, 0), 0);
    let found = audit(&machine).expect_err("the leaf is old");
    assert_eq!((found.invariant, found.place), (Invariant::S16, 300));
}
