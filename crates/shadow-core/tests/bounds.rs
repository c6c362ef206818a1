//! Worst cases of `docs/shadow-mmu.md`, each driven until it is reached, or nearly.
//!
//! No request makes more capability operations than its budget, however much
//! there is to do; and all of it together stays below a function of the pools.

use crate::model::machine::{Machine, P, W};
use crate::model::scenario::{ALL, BASE, REGION, entry_of};
use shadow_core::{Access, FaultOutcome, MapError, PagingContext, Policy, Pools, VcpuId};
use x86::{Gfn, Gpa, Gva, Level};

const POOLS: Pools =
    Pools { frames: 2048, extra_copies: 4096, spaces: 4, pdpts: 160, pds: 160, pts: 400 };
const BUDGET: usize = Policy::DEFAULT.budget as usize;
/// Instances of the table that everything is about, and their wrong entries: as
/// many as are handled one by one.
const INSTANCES: u64 = 60;
const ENTRIES: u64 = 24;
const TABLE: u64 = 300;

/// [`INSTANCES`] instances of `table` with [`ENTRIES`] leaves each, from region
/// `first` on.
fn crowd(machine: &mut Machine, first: u64, table: u64, frame: u64) {
    for slot in 0..ENTRIES {
        machine.poke(entry_of(table, slot), (frame + slot) << 12 | ALL);
    }
    for region in first..first + INSTANCES {
        let entry = machine.entry(Level::L2, BASE + region * REGION);
        machine.poke(entry, table << 12 | ALL);
        for slot in 0..ENTRIES {
            let va = BASE + region * REGION + slot * 4096;
            machine.touch(va, Access::Read).expect("mapped");
        }
    }
}

/// The guest makes every entry lead to the next one's frame.
fn shift(machine: &mut Machine, table: u64, frame: u64) {
    for slot in 0..ENTRIES {
        let next = frame + (slot + 1) % ENTRIES;
        machine.store(entry_of(table, slot), next << 12 | ALL);
    }
}

/// Repeats a request until it is done: how often it was asked for, and all its
/// operations.
fn finish<T>(
    machine: &mut Machine,
    mut request: impl FnMut(&mut Machine) -> Result<T, MapError>,
) -> (usize, usize) {
    let mut operations = 0;
    for calls in 1..1000 {
        machine.kernel.take_calls();
        let result = request(machine);
        let spent = machine.kernel.take_calls().len();
        assert!(spent <= BUDGET, "{spent} operations in one request");
        operations += spent;
        match result {
            Ok(_) => {
                machine.check();
                return (calls, operations);
            }
            Err(error) => assert!(error.is_again(), "{error}"),
        }
        machine.check_records();
    }
    panic!("never done");
}

/// Asserts that `operations` are at most `bound`, and at least 9 of 10.
fn reached(operations: usize, bound: usize) {
    assert!(operations <= bound, "{operations} of {bound}");
    assert!(operations * 10 >= bound * 9, "{operations} of {bound} only");
}

const RESYNC: usize = 3 + (2 * ENTRIES * INSTANCES) as usize;

#[test]
fn a_cr3_load_resyncs_all_instances_in_parts() {
    let mut machine = Machine::new(POOLS);
    crowd(&mut machine, 0, TABLE, 400);
    shift(&mut machine, TABLE, 400);
    assert_eq!(machine.mmu.counters().unsync, 1);
    let cpu = machine.cpu;
    let (calls, operations) = finish(&mut machine, |machine| {
        machine.mmu.load_cr3(&cpu, &machine.ram, &mut machine.kernel)
    });
    reached(operations, RESYNC);
    assert!(calls > 20, "{calls}");
    let last = BASE + (INSTANCES - 1) * REGION;
    assert_ne!(machine.allows(last, Access::Read), Some(Gfn::new(400)));
}

#[test]
fn a_change_of_the_paging_mode_resyncs_every_vcpus_tables_in_parts() {
    let mut machine = Machine::new(POOLS);
    for (number, table) in [TABLE, TABLE + 1, TABLE + 2].into_iter().enumerate() {
        let number = number as u64;
        crowd(&mut machine, number * INSTANCES, table, 400 + 100 * number);
        machine.cpu.vcpu = VcpuId::new(number as usize % 2).expect("two vCPUs");
        let cpu = machine.cpu;
        machine.mmu.activate(&cpu, &mut machine.kernel).expect("kernel works");
        shift(&mut machine, table, 400 + 100 * number);
    }
    assert_eq!(machine.mmu.counters().unsync, 3);
    let cpu = machine.cpu;
    let (_, operations) = finish(&mut machine, |machine| {
        machine.mmu.paging_mode_changed(&cpu, &machine.ram, &mut machine.kernel)
    });
    // Nothing is derived.
    let bound = 3 * (3 + (ENTRIES * INSTANCES) as usize);
    reached(operations, bound);
}

#[test]
fn a_servers_write_is_followed_in_parts() {
    let mut machine = Machine::new(POOLS);
    crowd(&mut machine, 0, TABLE, 400);
    for slot in 0..ENTRIES {
        machine.ram.poke(entry_of(TABLE, slot), 0);
    }
    let (calls, operations) = finish(&mut machine, |machine| {
        machine.mmu.guest_written(Gpa::new(TABLE << 12), 4096, &machine.ram, &mut machine.kernel)
    });
    reached(operations, (ENTRIES * INSTANCES) as usize);
    assert!(calls > 10, "{calls}");
}

#[test]
fn an_eviction_is_done_in_parts_before_the_fault_goes_on() {
    let mut machine = Machine::new(POOLS);
    crowd(&mut machine, 0, TABLE, 400);
    // Two more tables of its home; all three are at hand to be written.
    for (number, table) in [TABLE + 3, TABLE + 6].into_iter().enumerate() {
        let region = INSTANCES + number as u64;
        let entry = machine.entry(Level::L2, BASE + region * REGION);
        machine.poke(entry, table << 12 | ALL);
        machine.poke(entry_of(table, 0), 500 << 12 | ALL);
        machine.touch(BASE + region * REGION, Access::Read).expect("mapped");
    }
    shift(&mut machine, TABLE, 400);
    machine.store(entry_of(TABLE + 3, 1), 0);
    let va = crate::model::machine::DIRECT | (TABLE + 6) << 12;
    let entry = machine.entry(Level::L1, va);
    machine.poke(entry, (TABLE + 6) << 12 | ALL);
    let (mut operations, mut again) = (0, 0);
    loop {
        machine.kernel.take_calls();
        let outcome = machine.fault(va, Access::Write);
        let spent = machine.kernel.take_calls().len();
        assert!(spent <= BUDGET + 60, "{spent} operations in one fault");
        operations += spent;
        match outcome {
            FaultOutcome::Again => again += 1,
            FaultOutcome::Filled { writable: true, .. } => break,
            other => panic!("{other:?}"),
        }
        machine.check_records();
    }
    assert_eq!(machine.mmu.counters().unsync_evict, 1);
    assert!(again > 10, "{again}");
    reached(operations, (ENTRIES * INSTANCES) as usize + 60);
    machine.check();
}

/// A space full of PDPTs is taken for another root.
#[test]
fn a_recycled_space_is_emptied_in_parts() {
    const PDPTS: u64 = 150;
    let mut machine = Machine::new(POOLS);
    let tops = (1..PDPTS).map(|top| top << 39);
    // Enough below the first one to use up what is spent on single tables.
    let regions = (1..40).map(|region| region << 21);
    for (frame, va) in (1000..).zip(regions.chain(tops)) {
        machine.map(va, frame, P | W | crate::model::machine::A);
        machine.touch(va, Access::Read).expect("mapped");
    }
    let first = machine.space();
    for root in 600..603 {
        machine.load_cr3(root);
    }
    let cpu = PagingContext { root: Gfn::new(603), ..machine.cpu };
    let mut taken = None;
    let (calls, operations) = finish(&mut machine, |machine| {
        let entered = machine.mmu.activate(&cpu, &mut machine.kernel);
        taken = entered.ok();
        entered
    });
    assert_eq!(taken, Some(first));
    assert!(calls > 1);
    reached(operations, 41 + PDPTS as usize);
}

#[test]
fn invlpg_costs_little_however_many_instances_there_are() {
    let mut machine = Machine::new(POOLS);
    crowd(&mut machine, 0, TABLE, 400);
    machine.kernel.take_calls();
    let cpu = machine.cpu;
    machine
        .mmu
        .invlpg(&cpu, Gva::new(BASE), &machine.ram, &mut machine.kernel)
        .expect("kernel works");
    assert!(machine.kernel.take_calls().len() <= 2);
}
