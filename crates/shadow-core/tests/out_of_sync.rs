//! Tables that the guest writes: named cases.

use crate::model::kernel::Call;
use crate::model::machine::{A, D, DIRECT, Machine, P, ROOMY, SMALL, W};
use crate::model::scenario::{ALL, BASE, REGION, entry_of, link};
use shadow_core::{Access, FaultOutcome, Policy, Pools, Promotion, SpaceId};
use x86::{Gfn, Gva};

const RECORDED: Policy = Policy { promotion: Promotion::Recorded, ..Policy::DEFAULT };

#[test]
fn a_written_table_goes_out_of_sync_once_and_back_at_a_cr3_load() {
    let mut machine = Machine::with_policy(ROOMY, RECORDED);
    link(&mut machine, 0, 300, 100);
    for slot in 1..9 {
        machine.store(entry_of(300, slot), (100 + slot) << 12 | ALL);
    }
    assert_eq!(machine.mmu.counters().unsync, 1);
    assert_eq!(machine.mmu.counters().oos_fixup_add, 1);
    machine.kernel.take_calls();
    machine.load_cr3(1);
    assert_eq!(
        machine.kernel.take_calls(),
        [Call::RemapFrame],
        "write access went, nothing else changed"
    );
    assert_eq!(machine.mmu.counters().resync, 1);
    machine.store(entry_of(300, 9), 0);
    assert_eq!(machine.mmu.counters().unsync, 2);
    machine.check();
}

#[test]
fn reads_and_read_faults_map_tables_read_only() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.map(BASE + 5 * REGION, 300, ALL);
    machine.touch(BASE + 5 * REGION, Access::Read).expect("mapped");
    assert_eq!(machine.allows(BASE + 5 * REGION, Access::Write), None);
    machine.store(entry_of(300, 1), 0);
    machine.map(BASE + 6 * REGION, 300, ALL);
    machine.touch(BASE + 6 * REGION, Access::Read).expect("mapped");
    assert_eq!(machine.allows(BASE + 6 * REGION, Access::Write), None, "out of sync too");
    machine.check();
}

#[test]
fn a_third_writable_mapping_takes_the_place_of_the_first() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    let aliases: Vec<u64> = (1..4).map(|page| BASE + 5 * REGION + page * 4096).collect();
    for &va in &aliases {
        machine.map(va, 300, ALL);
        machine.touch(va, Access::Write).expect("mapped");
        machine.check();
    }
    assert_eq!(machine.allows(aliases[0], Access::Write), None);
    assert!(machine.allows(aliases[0], Access::Read).is_some());
    assert!(machine.allows(aliases[1], Access::Write).is_some());
    assert!(machine.allows(aliases[2], Access::Write).is_some());
    assert_eq!(machine.mmu.counters().oos_fixup_evict, 1);
    // The same mapping again needs no other fixup.
    machine.touch(aliases[2], Access::Write).expect("mapped");
    assert_eq!(machine.mmu.counters().oos_fixup_add, 3);
}

/// Tables 300, 303 and 306 have one home: the second punts the first to the
/// next slot, the third evicts it from there.
#[test]
fn a_page_survives_one_collision() {
    let mut machine = Machine::new(ROOMY);
    for (region, table) in (0..).zip([300, 303, 306]) {
        link(&mut machine, region, table, 100 + region);
    }
    machine.store(entry_of(300, 1), 101 << 12 | ALL);
    machine.store(entry_of(303, 1), 0);
    assert_eq!(machine.mmu.counters().unsync_evict, 0);
    machine.store(entry_of(300, 2), 0);
    assert_eq!(machine.mmu.counters().unsync, 2, "still out of sync");
    machine.store(entry_of(306, 1), 0);
    assert_eq!(machine.mmu.counters().unsync_evict, 1);
    machine.check();
    machine.store(entry_of(303, 2), 0);
    assert_eq!(machine.mmu.counters().unsync, 3, "303 was punted, not evicted");
    machine.check();
}

/// R3: the entry goes away, comes back as something else that is used, and
/// gets its old value again before the resync.
#[test]
fn aba_snapshot_keeps_no_leaf_of_the_value_between() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.store(entry_of(300, 1), 101 << 12 | ALL);
    machine.load_cr3(1);
    machine.store(entry_of(300, 1), 102 << 12 | ALL);
    assert_eq!(machine.touch(BASE + 4096, Access::Read), Ok(Gfn::new(102)));
    machine.store(entry_of(300, 1), 101 << 12 | ALL);
    machine.load_cr3(1);
    assert_ne!(machine.allows(BASE + 4096, Access::Read), Some(Gfn::new(102)));
    machine.check();
}

#[test]
fn two_instances_of_a_table_are_both_resynced() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    link(&mut machine, 1, 300, 100);
    machine.store(entry_of(300, 0), 0);
    machine.load_cr3(1);
    for region in 0..2 {
        let va = BASE + region * REGION;
        assert_eq!(machine.allows(va, Access::Read), None);
    }
    machine.check();
}

#[test]
fn a_changed_entry_is_derived_by_the_resync() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.store(entry_of(300, 0), 101 << 12 | ALL);
    machine.load_cr3(1);
    assert_eq!(machine.allows(BASE, Access::Write), Some(Gfn::new(101)));
    assert_eq!(machine.mmu.counters().derive, 1);
    // Without A a processor may not have loaded it.
    machine.store(entry_of(300, 0), 102 << 12 | P | W);
    machine.load_cr3(1);
    assert_eq!(machine.allows(BASE, Access::Read), None);
    machine.check();
}

/// R6: no slot for a table of a space that is not loaded, and nothing old when
/// it is loaded again.
#[test]
fn tables_of_spaces_not_loaded_become_stale() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    let (slot, top) = (entry_of(1, 224), machine.ram.peek(entry_of(1, 224)));
    assert_eq!(top, 0, "no direct map yet");
    machine.store(entry_of(700, 0), 0);
    let top = machine.ram.peek(slot);
    machine.poke(entry_of(600, 224), top);
    machine.load_cr3(600);
    machine.store(entry_of(300, 0), 101 << 12 | ALL);
    assert_eq!(machine.mmu.counters().unsync, 0);
    assert_eq!(machine.mmu.counters().stale, 1);
    machine.load_cr3(1);
    assert_eq!(machine.allows(BASE, Access::Read), None);
    machine.check();
}

/// R7, in `model/scenario.rs`.
#[test]
fn eviction_of_the_table_just_walked() {
    crate::model::scenario::eviction_of_the_table_just_walked(RECORDED);
}

/// R8, in `model/scenario.rs`.
#[test]
fn code_writes_the_table_that_maps_it() {
    crate::model::scenario::code_writes_the_table_that_maps_it(Policy::DEFAULT);
}

/// A CR3 load in between means that the table is in use.
#[test]
fn tables_that_are_loaded_are_not_given_up() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    for slot in 1..9 {
        machine.store(entry_of(300, slot), 0);
        machine.load_cr3(1);
    }
    assert_eq!(machine.mmu.counters().unsync, 8);
    assert_eq!(machine.mmu.counters().unshadow, 0);
    machine.check();
}

/// The only instance of a table that is out of sync gets other rights while it
/// has no leaves: the table stays what it is, with its writable mapping.
#[test]
fn an_instance_with_other_rights_keeps_its_table_out_of_sync() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.store(entry_of(300, 1), 101 << 12 | ALL);
    let above = machine.entry(x86::Level::L2, BASE);
    machine.store(above, 300 << 12 | P | A | D);
    machine.store(entry_of(300, 0), 0);
    machine.invlpg(BASE);
    machine.touch(BASE + 4096, Access::Read).expect("mapped");
    machine.check();
    machine.store(entry_of(300, 1), 102 << 12 | ALL);
    machine.load_cr3(1);
    assert_eq!(machine.allows(BASE + 4096, Access::Read), Some(Gfn::new(102)));
    machine.check();
}

#[test]
fn promotion_takes_write_access_away() {
    for (policy, call) in [(Policy::DEFAULT, Call::Revoke), (RECORDED, Call::RemapFrame)] {
        let mut machine = Machine::with_policy(ROOMY, policy);
        machine.store(entry_of(300, 0), 100 << 12 | ALL);
        machine.kernel.take_calls();
        link(&mut machine, 0, 300, 100);
        assert!(machine.kernel.take_calls().contains(&call));
        assert_eq!(machine.allows(DIRECT | 300 << 12, Access::Write), None);
        machine.check();
    }
}

#[test]
fn invlpg_maps_what_the_entry_says_now() {
    let mut machine = Machine::new(ROOMY);
    link(&mut machine, 0, 300, 100);
    machine.store(entry_of(300, 0), 101 << 12 | ALL);
    assert_eq!(machine.allows(BASE, Access::Read), Some(Gfn::new(100)));
    machine.kernel.take_calls();
    machine.invlpg(BASE);
    assert_eq!(machine.kernel.take_calls(), [Call::UnmapFrame, Call::MapFrame]);
    assert_eq!(machine.allows(BASE, Access::Write), Some(Gfn::new(101)));
    // The same frame with fewer rights is remapped.
    machine.store(entry_of(300, 0), 101 << 12 | P | A | D);
    machine.invlpg(BASE);
    assert_eq!(machine.kernel.take_calls().last(), Some(&Call::RemapFrame));
    assert_eq!(machine.allows(BASE, Access::Write), None);
    machine.check();
}

#[test]
fn neighbours_with_a_and_d_come_along() {
    let mut machine = Machine::new(ROOMY);
    for page in 0..16 {
        let flags = if page == 5 { P | W } else { ALL };
        machine.map(BASE + page * 4096, 100 + page, flags);
    }
    machine.touch(BASE + 4096, Access::Write).expect("mapped");
    let mapped = |machine: &Machine, page: u64| {
        machine.kernel.access(SpaceId::new(0), Gva::new(BASE + page * 4096)).is_some()
    };
    for page in 0..16 {
        assert_eq!(mapped(&machine, page), page < 8 && page != 5, "page {page}");
    }
    assert_eq!(machine.mmu.counters().prefault, 6);
    machine.check();
}

/// Faults that follow each other bring ever more neighbours, each block aligned
/// and within one word of a table's entries.
#[test]
fn runs_of_faults_take_ever_larger_blocks() {
    let with_pages = || {
        let mut machine = Machine::new(ROOMY);
        for page in 0..256 {
            machine.map(BASE + page * 4096, 100 + page, ALL);
        }
        machine
    };
    let mut machine = with_pages();
    let mut faults = Vec::new();
    for page in 0..256 {
        if machine.allows(BASE + page * 4096, Access::Write).is_none() {
            machine.touch(BASE + page * 4096, Access::Write).expect("mapped");
            faults.push(page);
        }
    }
    assert_eq!(faults, [0, 8, 16, 32, 64, 128, 192]);
    machine.check();
    // Elsewhere it begins anew.
    let mut machine = with_pages();
    for (page, expected) in [(40, 8), (100, 16), (104, 24)] {
        machine.touch(BASE + page * 4096, Access::Write).expect("mapped");
        assert_eq!(machine.mmu.live_leaves().count(), expected);
    }
    machine.check();
}

/// A neighbour gets a new copy from the pool, but none is taken from elsewhere.
#[test]
fn neighbours_take_free_copies_only() {
    let mut machine = Machine::new(Pools { extra_copies: 8, ..SMALL });
    for page in 0..16 {
        machine.map(BASE + page * 4096, 100 + page / 8, ALL);
    }
    // The frame's own copy and seven of the pool, then the other's and the last one.
    for (page, live) in [(0, 8), (8, 10)] {
        machine.touch(BASE + page * 4096, Access::Read).expect("mapped");
        assert_eq!(machine.mmu.live_leaves().count(), live);
    }
    assert_eq!(machine.mmu.counters().copy, 8);
    assert_eq!(machine.mmu.counters().copy_recycled + machine.mmu.counters().copy_evict, 0);
    machine.check();
}

/// A leaf that a CR3 load would drop anyway gives its copy, before one is made;
/// and stays recorded if the kernel refuses to move it.
#[test]
fn copies_in_stale_tables_are_taken_first() {
    let mut machine = Machine::new(Pools { extra_copies: 8, ..SMALL });
    link(&mut machine, 0, 300, 100);
    machine.load_cr3(2);
    machine.map(BASE, 100, ALL);
    // The table of the other space goes stale, with a leaf that names the frame.
    machine.store(entry_of(300, 1), 101 << 12 | ALL);
    assert_eq!(machine.mmu.counters().stale, 1);
    let copies = machine.mmu.counters().copy;
    for after in 0.. {
        machine.kernel.fail_after = Some(after);
        if !matches!(machine.fault(BASE, Access::Read), FaultOutcome::Failed(_)) {
            break;
        }
        machine.check_records();
    }
    machine.kernel.fail_after = None;
    machine.touch(BASE, Access::Read).expect("mapped");
    assert_eq!(machine.mmu.counters().copy, copies, "none was made");
    machine.check();
}
