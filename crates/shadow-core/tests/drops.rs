//! Events that drop leaves, and the tables they leave behind.

use crate::model::kernel::Call;
use crate::model::machine::{A, D, Machine, P, PS, ROOMY, SMALL, U, W};
use crate::model::world::ALONE;
use shadow_core::{Access, PagingContext};
use x86::{Gfn, Gva, Level};

const BASE: u64 = 0x4000_0000;

fn populate(machine: &mut Machine, first: u64, count: u64) {
    for page in first..first + count {
        machine.map(BASE + page * 4096, 100 + page, P | W | U | A | D);
        machine.touch(BASE + page * 4096, Access::Read).expect("mapped");
    }
}

#[test]
fn recycling_unmaps_few_leaves_singly_and_keeps_the_tables() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 10);
    assert_eq!(machine.recycle_first_space(), [Call::UnmapFrame; 10]);
    populate(&mut machine, 0, 10);
    assert_eq!(machine.kernel.take_calls(), [Call::MapFrame; 10]);
    machine.check();
}

#[test]
fn recycling_drops_a_full_table_by_one_call() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 11);
    assert_eq!(machine.recycle_first_space(), [Call::UnmapTable(Level::L1)]);
    assert_eq!(machine.mmu.live_leaves().count(), 0);
    machine.check();
}

#[test]
fn recycling_many_tables_unlinks_at_the_top() {
    let mut machine = Machine::new(ROOMY);
    for table in 0..60 {
        let va = BASE + (table << 21);
        machine.map(va, 100 + table, P | W | A | D);
        machine.touch(va, Access::Read).expect("mapped");
    }
    let singly = &[Call::UnmapFrame; 32][..];
    assert_eq!(machine.recycle_first_space(), [singly, &[Call::UnmapTable(Level::L3)]].concat());
    assert_eq!(machine.mmu.live_leaves().count(), 0);
    machine.check();
}

/// R2: a table below an unlinked one is full and "mapped" for the kernel, and
/// is emptied before it serves elsewhere.
#[test]
fn detached_tables_are_emptied_before_reuse() {
    let mut machine = Machine::new(SMALL);
    for table in 0..6 {
        let va = BASE + (table << 21);
        machine.map(va, 100 + table, P | W | A | D);
        machine.touch(va, Access::Read).expect("mapped");
    }
    // A superpage of 1 GiB over all of it: the page directory is dropped as one.
    let entry = machine.entry(Level::L3, BASE);
    machine.kernel.take_calls();
    machine.poke(entry, P | W | PS);
    machine.touch(BASE + 0x3000, Access::Read).expect("mapped");
    let calls = machine.kernel.take_calls();
    let dropped = [Call::UnmapTable(Level::L2), Call::MapTable(Level::L2)];
    let emptied = [Call::UnmapTable(Level::L1), Call::MapTable(Level::L1), Call::MapFrame];
    assert_eq!(calls, [&dropped[..], &emptied].concat());
    assert_eq!(machine.mmu.live_leaves().count(), 1);
    machine.check();
}

#[test]
fn a_cr3_load_with_nothing_out_of_sync_costs_nothing() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 2);
    machine.cpu.user = true;
    populate(&mut machine, 0, 3);
    machine.cpu.user = false;
    machine.space();
    machine.kernel.take_calls();
    machine.load_cr3(1);
    assert_eq!(machine.kernel.take_calls(), []);
    assert_eq!(machine.mmu.live_leaves().count(), 5);
    machine.check();
}

#[test]
fn switching_views_without_a_flush_keeps_both() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 2);
    machine.cpu.user = true;
    populate(&mut machine, 0, 2);
    machine.kernel.take_calls();
    for _ in 0..4 {
        machine.cpu.user = !machine.cpu.user;
        assert!(machine.allows(BASE, Access::Read).is_some());
    }
    assert_eq!(machine.kernel.take_calls(), []);
}

#[test]
fn invlpg_drops_one_page_in_every_view() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 2);
    machine.cpu.user = true;
    populate(&mut machine, 0, 2);
    machine.kernel.take_calls();
    machine.invlpg(BASE);
    assert_eq!(machine.kernel.take_calls(), [], "the tables still say the same");
    let entry = machine.entry(Level::L1, BASE);
    machine.ram.poke(entry, 0);
    machine.invlpg(BASE + 5);
    assert_eq!(machine.kernel.take_calls(), [Call::UnmapFrame; 2]);
    for user in [false, true] {
        machine.cpu.user = user;
        assert_eq!(machine.allows(BASE, Access::Read), None);
        assert!(machine.allows(BASE + 4096, Access::Read).is_some());
    }
    machine.invlpg(0x8000_0000_0000_0000);
    machine.invlpg(0xffff_8000_0000_0000);
    machine.check();
}

/// Without R1 the table would count as one of small pages after the second
/// touch, and INVLPG would leave fragments of the superpage behind.
#[test]
fn invlpg_inside_a_superpage_that_became_a_table_drops_all_fragments() {
    let mut machine = Machine::new(ROOMY);
    let entry = machine.entry(Level::L2, BASE);
    machine.poke(entry, P | W | PS);
    machine.touch(BASE + 0x1000, Access::Read).expect("mapped");
    machine.touch(BASE + 0x2000, Access::Read).expect("mapped");
    machine.poke(entry, 0);
    machine.map(BASE + 0x3000, 100, P | W);
    machine.touch(BASE + 0x3000, Access::Read).expect("mapped");
    machine.invlpg(BASE + 0x1000);
    assert_eq!(machine.allows(BASE + 0x2000, Access::Read), None);
    assert!(machine.allows(BASE + 0x3000, Access::Read).is_some());
    machine.check();
}

/// R1: an upper entry switched without a flush, seen at the next fill.
#[test]
fn a_fill_drops_what_another_upper_entry_gave() {
    for level in [Level::L4, Level::L3, Level::L2] {
        for change in [W, U, 50 << 12] {
            let mut machine = Machine::with_policy(ROOMY, ALONE);
            populate(&mut machine, 0, 2);
            let entry = machine.entry(level, BASE);
            let copy = (machine.ram.peek(entry) ^ change) >> 12;
            if change > U {
                // The same contents, in another frame.
                for slot in 0..512 {
                    let old = machine.ram.peek(machine.ram.peek(entry) & !0xfff | slot << 3);
                    machine.poke(copy << 12 | slot << 3, old);
                }
            }
            machine.map(BASE + 0x7000, 100, P | W);
            machine.store(entry, machine.ram.peek(entry) ^ change);
            assert!(machine.allows(BASE, Access::Read).is_some(), "as in a TLB");
            let leaf = machine.entry(Level::L1, BASE + 0x7000);
            machine.poke(leaf, 100 << 12 | P | W);
            machine.kernel.take_calls();
            machine.touch(BASE + 0x7000, Access::Read).expect("mapped");
            let below = level.below().expect("an upper level");
            let dropped = |call: &&Call| matches!(call, Call::UnmapTable(_));
            let calls = machine.kernel.take_calls();
            assert_eq!(
                calls.iter().find(dropped),
                Some(&Call::UnmapTable(below)),
                "the highest that differs"
            );
            assert_eq!(machine.allows(BASE, Access::Read), None);
            machine.check();
        }
    }
}

#[test]
fn a_table_without_leaves_is_given_its_new_origin_in_place() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 2);
    for va in [BASE, BASE + 4096] {
        let entry = machine.entry(Level::L1, va);
        machine.poke(entry, 0);
        let dropped = machine.mmu.page_fault_delivered(
            &machine.cpu,
            Gva::new(va),
            &machine.ram,
            &mut machine.kernel,
        );
        dropped.expect("kernel works");
    }
    let entry = machine.entry(Level::L3, BASE);
    machine.poke(entry, 60 << 12 | P | W);
    machine.map(BASE, 100, P | W);
    machine.kernel.take_calls();
    machine.touch(BASE, Access::Read).expect("mapped");
    assert_eq!(machine.kernel.take_calls(), [Call::MapFrame]);
    assert_eq!(machine.mmu.counters().retag, 2);
    machine.check();
}

#[test]
fn a_page_fault_delivered_drops_the_stale_leaf() {
    let mut machine = Machine::new(ROOMY);
    machine.map(BASE, 100, P);
    machine.touch(BASE, Access::Read).expect("mapped");
    let entry = machine.entry(Level::L1, BASE);
    machine.store(entry, 0);
    assert!(machine.allows(BASE, Access::Read).is_some(), "stale, as a TLB may be");
    assert!(machine.touch(BASE, Access::Write).is_err());
    machine
        .mmu
        .page_fault_delivered(&machine.cpu, Gva::new(BASE), &machine.ram, &mut machine.kernel)
        .expect("kernel works");
    assert_eq!(machine.allows(BASE, Access::Read), None);
    assert_eq!(machine.mmu.counters().pf_zap, 1);
    machine.check();
}

#[test]
fn a_mode_change_brings_everything_in_step() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 3);
    let entry = machine.entry(Level::L1, BASE);
    machine.store(entry, 0);
    machine
        .mmu
        .paging_mode_changed(&machine.cpu, &machine.ram, &mut machine.kernel)
        .expect("kernel works");
    assert_eq!(machine.allows(BASE, Access::Read), None);
    assert!(machine.allows(BASE + 4096, Access::Read).is_some());
    machine.check();
}

#[test]
fn the_least_recent_space_is_recycled_with_its_skeleton() {
    let mut machine = Machine::new(SMALL);
    for root in [1, 501, 502] {
        machine.load_cr3(root);
        populate(&mut machine, 0, 1);
    }
    assert_eq!(machine.space().index(), 2);
    machine.kernel.take_calls();
    machine.load_cr3(503);
    assert_eq!(machine.space().index(), 0, "root 1 was loaded longest ago");
    populate(&mut machine, 0, 1);
    assert_eq!(machine.kernel.take_calls(), [Call::UnmapFrame, Call::MapFrame]);
    assert_eq!(
        machine.mmu.space_key(shadow_core::SpaceId::new(0)).map(|key| key.0),
        Some(Gfn::new(503))
    );
    machine.check();
}

#[test]
fn activating_the_current_context_costs_nothing() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 0, 1);
    let space = machine.space();
    machine.kernel.take_calls();
    let same = PagingContext { ..machine.cpu };
    assert_eq!(machine.mmu.activate(&same, &mut machine.kernel), Ok(space));
    assert_eq!(machine.kernel.take_calls(), []);
}
