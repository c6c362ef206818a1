//! The page-fault path, seen from outside.

use crate::model::kernel::Call;
use crate::model::machine::{A, D, Machine, P, PS, ROOMY, U, W};
use shadow_core::{Access, FaultOutcome};
use x86::{Gfn, Gpa, Level, PageFaultCode};

#[test]
fn first_fault_links_three_tables_and_the_next_maps_one_spare() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x40_0000, 100, P | W);
    machine.map(0x40_1000, 101, P | W);
    machine.kernel.take_calls();
    assert_eq!(machine.touch(0x40_0123, Access::Read), Ok(Gfn::new(100)));
    let first = [Level::L3, Level::L2, Level::L1].map(Call::MapTable);
    assert_eq!(machine.kernel.take_calls(), [&first[..], &[Call::MapFrame]].concat());
    assert_eq!(machine.touch(0x40_1fff, Access::Write), Ok(Gfn::new(101)));
    assert_eq!(machine.kernel.take_calls(), [Call::MapFrame]);
    machine.check();
}

#[test]
fn a_clean_page_is_mapped_read_only_until_its_first_write() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x5000, 100, P | W);
    let entry = machine.entry(Level::L1, 0x5000);
    machine.touch(0x5000, Access::Read).expect("mapped");
    assert_eq!(machine.ram.peek(entry), 100 << 12 | P | W | A);
    assert_eq!(machine.allows(0x5000, Access::Write), None);
    machine.kernel.take_calls();
    machine.touch(0x5000, Access::Write).expect("mapped");
    assert_eq!(machine.ram.peek(entry), 100 << 12 | P | W | A | D);
    assert_eq!(machine.kernel.take_calls(), [Call::RemapFrame]);
    machine.check();
}

#[test]
fn a_dirty_page_is_writable_at_once() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x5000, 100, P | W | A | D);
    machine.touch(0x5000, Access::Read).expect("mapped");
    assert_eq!(machine.allows(0x5000, Access::Write), Some(Gfn::new(100)));
}

#[test]
fn guest_faults_change_nothing() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x5000, 100, P);
    machine.kernel.take_calls();
    let FaultOutcome::GuestFault(fault) = machine.fault(0x5008, Access::Write) else {
        panic!("a guest fault")
    };
    assert_eq!(fault.address.get(), 0x5008);
    assert_eq!(fault.code, PageFaultCode::PRESENT | PageFaultCode::WRITE);
    assert!(machine.ram.stores.borrow().is_empty(), "no A before the walk succeeds");
    assert_eq!(machine.kernel.take_calls(), []);
}

#[test]
fn views_of_one_root_differ_in_rights() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x5000, 100, P | A | D);
    machine.touch(0x5000, Access::Read).expect("readable");
    assert!(matches!(machine.touch(0x5000, Access::Write), Err(FaultOutcome::GuestFault(_))));
    machine.cpu.write_protect = false;
    assert_eq!(machine.allows(0x5000, Access::Read), None, "another space");
    machine.touch(0x5000, Access::Read).expect("readable");
    assert_eq!(machine.allows(0x5000, Access::Write), None);
    machine.touch(0x5000, Access::Write).expect("WP = 0");
    machine.cpu.user = true;
    assert!(matches!(machine.touch(0x5000, Access::Read), Err(FaultOutcome::GuestFault(_))));
    machine.cpu = shadow_core::PagingContext { write_protect: true, user: false, ..machine.cpu };
    assert_eq!(machine.allows(0x5000, Access::Write), None);
    machine.check();
}

#[test]
fn devices_and_read_only_memory_are_reported() {
    let mut machine = Machine::new(ROOMY);
    machine.mmu.set_read_only(Gfn::new(200), 2);
    machine.map(0x5000, 5000, P | W);
    machine.map(0x6000, 201, P | W);
    let gpa = Gpa::new(5000 * 4096 + 4);
    assert_eq!(
        machine.fault(0x5004, Access::Read),
        FaultOutcome::NotRam { gpa, access: Access::Read }
    );
    assert_eq!(machine.touch(0x6000, Access::Read), Ok(Gfn::new(201)));
    let gpa = Gpa::new(201 * 4096 + 8);
    assert_eq!(machine.fault(0x6008, Access::Write), FaultOutcome::ReadOnlyMemory { gpa });
    assert_eq!(machine.allows(0x6000, Access::Write), None);
    machine.check();
}

#[test]
fn the_top_of_the_lower_half_cannot_be_mapped() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x7fff_ffff_f000, 100, P | W);
    machine.map(0x7fff_ffff_e000, 100, P | W);
    assert!(matches!(
        machine.fault(0x7fff_ffff_f000, Access::Read),
        FaultOutcome::Unmappable { .. }
    ));
    assert_eq!(machine.touch(0x7fff_ffff_e000, Access::Read), Ok(Gfn::new(100)));
    assert_eq!(machine.fault(1 << 47, Access::Read), FaultOutcome::NonCanonical);
}

#[test]
fn superpages_are_splintered() {
    let mut machine = Machine::new(ROOMY);
    let large = machine.entry(Level::L2, 0x4000_0000);
    machine.poke(large, 512 << 12 | P | W | U | PS);
    assert_eq!(machine.touch(0x4001_2345, Access::Write), Ok(Gfn::new(512 + 0x12)));
    assert_eq!(machine.ram.peek(large) & (A | D), A | D);
    let huge = machine.entry(Level::L3, 0x8000_0000);
    machine.poke(huge, P | W | PS);
    assert_eq!(machine.touch(0x8023_4567, Access::Read), Ok(Gfn::new(0x234)));
    assert!(matches!(machine.fault(0x9000_0000, Access::Read), FaultOutcome::NotRam { .. }));
    machine.check();
    machine.invlpg(0x8000_0000);
    assert_eq!(
        machine.allows(0x8023_4567, Access::Read),
        None,
        "INVLPG drops the whole guest page"
    );
    assert!(machine.allows(0x4001_2345, Access::Read).is_some());
    machine.touch(0x4001_3000, Access::Read).expect("another part");
    machine.invlpg(0x4000_0000);
    assert_eq!(machine.allows(0x4001_2345, Access::Read), None);
    assert_eq!(machine.allows(0x4001_3000, Access::Read), None);
    machine.check();
}

#[test]
fn an_access_needs_the_space_of_its_context() {
    let mut machine = Machine::new(ROOMY);
    machine.map(0x5000, 100, P | W | U);
    machine.cpu.user = true;
    assert_eq!(machine.fault(0x5000, Access::Read), FaultOutcome::NotActive);
}
