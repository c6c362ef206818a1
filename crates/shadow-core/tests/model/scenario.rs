//! Scenarios that several tests play.

use shadow_core::{Access, Policy, SpaceId};
use x86::{Gfn, Level};

use super::kernel::Sibling;
use super::machine::{A, D, DIRECT, Machine, P, ROOMY, U, W};

pub const BASE: u64 = 0x4000_0000;
pub const REGION: u64 = 0x20_0000;
pub const ALL: u64 = P | W | U | A | D;
pub const fn entry_of(table: u64, slot: u64) -> u64 {
    table << 12 | slot << 3
}

/// Makes `table` the level-1 table of region `region`, its entry 0 a page, and
/// touches that page, so that an instance with a leaf exists.
pub fn link(machine: &mut Machine, region: u64, table: u64, page: u64) {
    let entry = machine.entry(Level::L2, BASE + region * REGION);
    machine.poke(entry, table << 12 | ALL);
    machine.poke(entry_of(table, 0), page << 12 | ALL);
    machine.touch(BASE + region * REGION, Access::Read).expect("mapped");
}

/// R7: the eviction that makes room hits the very table that the walk went
/// through, and a sibling changes it at the last moment.
pub fn eviction_of_the_table_just_walked(policy: Policy) {
    let mut machine = Machine::with_policy(ROOMY, policy);
    // 300 and 303 have one home, 301 the next slot.
    link(&mut machine, 0, 301, 300);
    link(&mut machine, 1, 300, 101);
    link(&mut machine, 2, 303, 102);
    machine.store(entry_of(303, 7), 0);
    machine.store(entry_of(301, 7), 0);
    machine.kernel.sibling = Some(Sibling {
        after: 0,
        ram: machine.ram.clone(),
        space: SpaceId::new(0),
        va: DIRECT | entry_of(301, 0),
        value: 104 << 12 | ALL,
    });
    assert_eq!(machine.touch(BASE, Access::Write), Ok(Gfn::new(104)));
    assert!(machine.kernel.sibling.is_none(), "the sibling ran");
    assert_eq!(machine.mmu.counters().unsync_evict, 1);
    machine.check();
}

/// R8: code writes the table that maps it, which was given up before.
pub fn code_writes_the_table_that_maps_it(policy: Policy) {
    let mut machine = Machine::with_policy(ROOMY, policy);
    // All three have one home, so that each write evicts one.
    for (region, table) in (0..).zip([300, 303, 306]) {
        link(&mut machine, region, table, 100 + region);
    }
    for slot in 1..4 {
        for table in [300, 303, 306] {
            machine.store(entry_of(table, slot), 0);
        }
    }
    assert_eq!(machine.mmu.counters().unshadow, 0);
    machine.execute(BASE, entry_of(300, 4), 104 << 12 | ALL);
    assert_eq!(machine.mmu.counters().unshadow, 1);
    assert_eq!(machine.touch(BASE + 4 * 4096, Access::Read), Ok(Gfn::new(104)));
    machine.check();
}
