//! Cases that have names, as far as no other file has them
//! (`docs/negative-list.md`).

use crate::model::machine::{A, D, Machine, P, ROOMY, U, W};
use crate::model::scenario::{ALL, BASE, REGION, entry_of, link};
use shadow_core::Access;
use x86::{Gfn, Level};

/// A kernel unmaps a whole table, invalidates one address, and uses the table's
/// frame for something else: that one INVLPG must suffice.
#[test]
fn one_invlpg_then_a_freed_table() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    let upper = machine.entry(Level::L2, BASE);
    machine.store(upper, 0);
    machine.invlpg(BASE);
    assert_eq!(machine.allows(BASE, Access::Read), None);
    // The frame is data now; what looks like entries means nothing.
    machine.store(entry_of(300, 0), 101 << 12 | ALL);
    machine.store(entry_of(300, 1), 102 << 12 | ALL);
    for page in 0..2 {
        assert_eq!(machine.allows(BASE + page * 4096, Access::Read), None);
        assert!(machine.touch(BASE + page * 4096, Access::Read).is_err());
    }
    machine.check();
}

/// One frame is a page table, then data, then a page directory.
#[test]
fn a_table_reused_as_data_and_at_another_level() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    // Data: mapped as a page, written at will.
    let upper = machine.entry(Level::L2, BASE);
    machine.store(upper, 0);
    machine.map(BASE + 5 * REGION, 300, P | W | U | A | D);
    machine.load_cr3(1);
    assert_eq!(machine.touch(BASE + 5 * REGION, Access::Write), Ok(Gfn::new(300)));
    // A page directory: its entry 0 leads to a table that maps frame 102.
    machine.store(entry_of(300, 0), 310 << 12 | ALL);
    machine.store(entry_of(310, 0), 102 << 12 | ALL);
    let top = machine.entry(Level::L3, 0x80_4000_0000);
    machine.store(top, 300 << 12 | ALL);
    assert_eq!(machine.touch(0x80_4000_0000, Access::Read), Ok(Gfn::new(102)));
    machine.check();
    machine.load_cr3(1);
    assert_eq!(machine.allows(BASE + 5 * REGION, Access::Write), None, "a table again");
    machine.check();
}
