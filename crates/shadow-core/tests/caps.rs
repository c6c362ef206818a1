//! Copies of frame caps: which one is used, when more are made, and what
//! happens to stale ones.

use crate::model::kernel::Call;
use crate::model::machine::{A, D, Machine, P, PS, ROOMY, SMALL, W};
use crate::model::world::ALONE;
use shadow_core::{Access, FaultOutcome, Mappings, Pools};
use x86::{Gfn, Gva, Level};

const BASE: u64 = 0x4000_0000;
/// Maps pages `0..count` from `BASE` on, each to what `gfn` says, and touches them.
fn populate(machine: &mut Machine, count: u64, gfn: impl Fn(u64) -> u64) {
    for page in 0..count {
        machine.map(BASE + page * 4096, gfn(page), P | W | A | D);
        machine.touch(BASE + page * 4096, Access::Read).expect("mapped");
    }
}

#[test]
fn a_frame_that_moves_takes_its_spare_along() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 1, |_| 100);
    machine.invlpg(BASE);
    machine.map(BASE, 0, 0);
    machine.map(BASE + 4096, 100, P);
    machine.kernel.take_calls();
    machine.touch(BASE + 4096, Access::Read).expect("mapped");
    assert_eq!(machine.kernel.take_calls(), [Call::MapFrame]);
    assert_eq!(machine.mmu.counters().copy, 0);
    machine.check();
}

#[test]
fn a_frame_mapped_twice_gets_an_extra_copy_and_keeps_it() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 2, |_| 100);
    assert_eq!(machine.mmu.counters().copy, 1);
    for _ in 0..3 {
        machine.unlink(BASE);
        machine.kernel.take_calls();
        populate(&mut machine, 2, |_| 100);
        assert_eq!(
            machine.kernel.take_calls(),
            [Call::MapTable(Level::L1), Call::RemapFrame, Call::RemapFrame],
            "copies are there"
        );
    }
    assert_eq!(machine.mmu.counters().copy, 1);
    machine.check();
}

#[test]
fn a_frame_has_at_most_64_copies() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 100, |_| 100);
    assert_eq!(machine.mmu.counters().copy, 63);
    assert_eq!(machine.mmu.counters().copy_evict, 100 - 64);
    assert_eq!(machine.mmu.live_leaves().count(), 64);
    machine.check();
}

#[test]
fn an_empty_pool_takes_copies_that_are_not_live() {
    let mut machine = Machine::with_policy(SMALL, ALONE);
    // One frame takes all eight extras, and then its leaves are dropped.
    populate(&mut machine, 9, |_| 100);
    machine.unlink(BASE);
    machine.kernel.take_calls();
    populate(&mut machine, 2, |_| 200);
    let calls = machine.kernel.take_calls();
    assert_eq!(
        calls,
        [
            Call::MapTable(Level::L1),
            Call::MapFrame,
            Call::DeleteCopy,
            Call::CopyFrame,
            Call::MapFrame
        ]
    );
    assert_eq!(machine.mmu.counters().copy_recycled, 1);
    machine.check();
}

#[test]
fn an_empty_pool_of_live_copies_evicts_only_below_six() {
    let mut machine = Machine::new(SMALL);
    populate(&mut machine, 9, |_| 100);
    // Another frame may always have six copies, though all are live.
    for page in 9..20 {
        machine.map(BASE + page * 4096, 200, P);
        machine.touch(BASE + page * 4096, Access::Read).expect("mapped");
        machine.check();
    }
    let of = |gfn| machine.mmu.live_leaves().filter(|leaf| leaf.gfn == Gfn::new(gfn)).count();
    assert_eq!((of(100), of(200)), (4, 6));
    assert_eq!(machine.mmu.counters().copy_recycled, 5);
    assert_eq!(machine.mmu.counters().copy_evict, 5);
}

/// The scenario that makes seL4's stale caps dangerous: a table full of
/// mappings is unlinked by one call, the pages come back in another order,
/// and old caps are unmapped later.
#[test]
fn stale_cap_alias_never_wipes_a_live_entry() {
    let mut machine = Machine::with_policy(ROOMY, ALONE);
    // Two copies of frame 100 among enough pages that the table is unlinked as one.
    populate(&mut machine, 16, |page| if page < 2 { 100 } else { 100 + page });
    machine.unlink(BASE);
    assert_eq!(machine.mmu.live_leaves().count(), 0);
    machine.check();
    // The second page first: a naive choice would take the spare, which claims the first.
    machine.kernel.take_calls();
    machine.touch(BASE + 4096, Access::Read).expect("mapped");
    assert_eq!(machine.kernel.take_calls(), [Call::MapTable(Level::L1), Call::RemapFrame]);
    assert_eq!(machine.mmu.counters().stale_alias, 1);
    // The first page elsewhere: its copy is unmapped from its stale place.
    machine.map(BASE + 20 * 4096, 100, P);
    machine.touch(BASE + 20 * 4096, Access::Read).expect("mapped");
    assert_eq!(machine.mmu.counters().stale_reuse, 1);
    assert!(machine.allows(BASE + 4096, Access::Read).is_some(), "wiped by a stale cap");
    machine.check();
}

#[test]
fn a_wiped_entry_is_healed_and_counted() {
    let mut machine = Machine::new(ROOMY);
    populate(&mut machine, 1, |_| 100);
    let leaf = machine.mmu.live_leaves().next().expect("one leaf");
    machine.kernel.unmap_frame(leaf.copy).expect("somebody else's doing");
    assert_eq!(machine.allows(BASE, Access::Read), None);
    machine.kernel.take_calls();
    let outcome = machine.fault(BASE, Access::Read);
    assert_eq!(outcome, FaultOutcome::Filled { gfn: Gfn::new(100), writable: true, healed: true });
    assert_eq!(machine.kernel.take_calls(), [Call::UnmapFrame, Call::MapFrame]);
    assert_eq!(machine.mmu.counters().heal, 1);
    machine.check();
}

#[test]
fn a_revoked_frame_comes_back_copy_by_copy() {
    let mut machine = Machine::with_policy(SMALL, ALONE);
    populate(&mut machine, 5, |_| 100);
    machine.kernel.take_calls();
    machine.mmu.remove_all_mappings(Gfn::new(100), &mut machine.kernel).expect("kernel works");
    assert_eq!(machine.kernel.take_calls(), [Call::Revoke]);
    assert_eq!(machine.mmu.live_leaves().count(), 0);
    machine.check();
    populate(&mut machine, 1, |_| 100);
    assert_eq!(machine.kernel.take_calls(), [Call::CopyFrame, Call::MapFrame]);
    populate(&mut machine, 9, |_| 100);
    machine.check();
    machine
        .mmu
        .remove_all_mappings(Gfn::new(1 << 30), &mut machine.kernel)
        .expect("outside RAM: nothing to do");
}

/// An instruction may need six pages at once: two each for its code, its
/// source and its destination. All must fit together in the smallest pools,
/// whatever was there before.
#[test]
fn six_pages_of_one_instruction_fit_in_the_smallest_pools() {
    let pools = Pools { frames: 1024, ..Pools::FLOOR };
    let shapes: [fn(u64) -> u64; 4] = [
        |page| page << 39, // a table of its own on every level
        |page| page << 30, // one PDPT
        |page| page << 21, // one page directory
        |page| page << 12, // one page table
    ];
    let frames: [fn(u64) -> u64; 3] = [|_| 900, |page| 900 + page % 2, |page| 900 + page];
    for shape in shapes {
        for frame in frames {
            let mut machine = Machine::new(pools);
            for page in 0..40 {
                let va =
                    ((page % 7) << 39) | ((page % 5) << 30) | ((page % 3) << 21) | (page << 12);
                machine.map(va | 1 << 46, 800 + page % 4, P | W | A | D);
                machine.touch(va | 1 << 46, Access::Read).expect("mapped");
            }
            let pages: Vec<u64> = (0..6).map(|page| 1 << 45 | shape(page)).collect();
            for (page, &va) in (0..).zip(&pages) {
                machine.map(va, frame(page), P | W | A | D);
            }
            let mut faults = 0;
            while let Some(&va) = pages.iter().find(|&&va| {
                machine.kernel.access(shadow_core::SpaceId::new(0), Gva::new(va)).is_none()
            }) {
                let outcome = machine.fault(va, Access::Read);
                assert!(matches!(outcome, FaultOutcome::Filled { .. }), "{outcome:?}");
                faults += 1;
                assert!(faults <= 24, "no progress");
            }
            machine.check();
        }
    }
}

#[test]
fn splintered_superpages_share_the_frames_copies() {
    let mut machine = Machine::new(ROOMY);
    let entry = machine.entry(Level::L2, 0x20_0000);
    machine.poke(entry, P | W | PS);
    machine.touch(0x20_5000, Access::Read).expect("frame 5 through the superpage");
    machine.map(0x40_0000, 5, P);
    machine.touch(0x40_0000, Access::Read).expect("frame 5 through its own page");
    assert_eq!(machine.mmu.counters().copy, 1);
    machine.check();
}

#[test]
fn six_aliases_of_a_frame_with_a_full_chain_fit_together() {
    let mut machine = Machine::new(SMALL);
    populate(&mut machine, 9, |_| 100);
    let aliases: Vec<u64> = (20..26).map(|page| BASE + page * 4096).collect();
    for &va in &aliases {
        machine.map(va, 100, P);
    }
    let space = machine.space();
    let missing = |machine: &Machine| {
        let unmapped = |&&va: &&u64| machine.kernel.access(space, Gva::new(va)).is_none();
        aliases.iter().find(unmapped).copied()
    };
    for _ in 0..24 {
        let Some(va) = missing(&machine) else { break };
        assert!(matches!(machine.fault(va, Access::Read), FaultOutcome::Filled { .. }));
    }
    assert_eq!(missing(&machine), None, "no progress");
    machine.check();
}
