//! The model of the kernel shows the behaviour that shaped the design: facts
//! seen on seL4 5.0.0, one test each.

use crate::model::kernel::{DELETE_FIRST, FAILED_LOOKUP, Kernel};
use crate::model::machine::SMALL;
use shadow_core::{CopyId, Mappings, SpaceId, TableId};
use x86::{Gfn, Gva, Level};

const SPACE: SpaceId = SpaceId::new(0);
const PAGE: Gva = Gva::new(0x1000);
const SPARE: CopyId = CopyId::new(7);
const EXTRA: CopyId = CopyId::new(SMALL.frames);
const FRAME: Gfn = Gfn::new(7);

const fn table(level: Level) -> TableId {
    TableId { level, index: 0 }
}

/// A kernel with tables for page 0x1000 linked and two copies of one frame.
fn kernel() -> Kernel {
    let mut kernel = Kernel::new(&SMALL);
    for level in [Level::L3, Level::L2, Level::L1] {
        kernel.map_table(table(level), SPACE, Gva::new(0)).expect("links");
    }
    kernel.copy_frame(EXTRA, FRAME).expect("copies");
    kernel
}

#[test]
fn a_cap_maps_once_and_an_entry_holds_one_mapping() {
    let mut kernel = kernel();
    let (first, second) = (Gva::new(0x2000), PAGE);
    kernel.map_frame(SPARE, SPACE, first, true).expect("maps");
    kernel.map_frame(SPARE, SPACE, second, false).expect("moves");
    assert_eq!(kernel.access(SPACE, first), None);
    assert_eq!(kernel.access(SPACE, second), Some((FRAME, false)));
    let occupied = kernel.map_frame(EXTRA, SPACE, PAGE, false);
    assert_eq!(occupied.map_err(|error| error.status), Err(DELETE_FIRST));
    let no_table = kernel.map_frame(EXTRA, SPACE, Gva::new(1 << 39), false);
    assert_eq!(no_table.map_err(|error| error.status), Err(FAILED_LOOKUP));
}

#[test]
fn stale_cap_alias_wipes_the_entry_of_another_cap() {
    let mut kernel = kernel();
    kernel.map_frame(SPARE, SPACE, PAGE, true).expect("maps");
    kernel.unmap_table(table(Level::L1)).expect("unlinks");
    kernel.map_table(table(Level::L1), SPACE, Gva::new(0)).expect("links");
    kernel.map_frame(EXTRA, SPACE, PAGE, true).expect("maps");
    kernel.unmap_frame(SPARE).expect("the kernel sees nothing wrong");
    assert_eq!(kernel.access(SPACE, PAGE), None, "the other cap's entry is gone");
}

#[test]
fn a_stale_cap_that_moves_wipes_the_entry_of_another_cap() {
    let mut kernel = kernel();
    kernel.map_frame(SPARE, SPACE, PAGE, true).expect("maps");
    kernel.unmap_table(table(Level::L1)).expect("unlinks");
    kernel.map_table(table(Level::L1), SPACE, Gva::new(0)).expect("links");
    kernel.map_frame(EXTRA, SPACE, PAGE, true).expect("maps");
    kernel.map_frame(SPARE, SPACE, Gva::new(0x2000), true).expect("moves");
    assert_eq!(kernel.access(SPACE, PAGE), None);
}

#[test]
fn a_refused_move_changes_nothing() {
    let mut kernel = kernel();
    kernel.map_frame(SPARE, SPACE, PAGE, true).expect("maps");
    let no_table = kernel.map_frame(SPARE, SPACE, Gva::new(1 << 39), false);
    assert_eq!(no_table.map_err(|error| error.status), Err(FAILED_LOOKUP));
    let occupied = kernel.map_frame(SPARE, SPACE, PAGE, false);
    assert_eq!(occupied.map_err(|error| error.status), Err(DELETE_FIRST));
    assert_eq!(kernel.access(SPACE, PAGE), Some((FRAME, true)));
}

#[test]
fn remap_puts_a_stale_mapping_back() {
    let mut kernel = kernel();
    kernel.map_frame(SPARE, SPACE, PAGE, true).expect("maps");
    kernel.unmap_table(table(Level::L2)).expect("unlinks");
    assert_eq!(kernel.access(SPACE, PAGE), None);
    // The table below stays "mapped" until it is unmapped itself.
    assert!(kernel.map_table(table(Level::L1), SPACE, Gva::new(0)).is_err());
    kernel.unmap_table(table(Level::L1)).expect("empties");
    for level in [Level::L2, Level::L1] {
        kernel.map_table(table(level), SPACE, Gva::new(0)).expect("links");
    }
    kernel.remap_frame(SPARE, SPACE, PAGE, false).expect("writes the entry");
    assert_eq!(kernel.access(SPACE, PAGE), Some((FRAME, false)));
}

#[test]
fn revoke_unmaps_and_deletes_every_copy() {
    let mut kernel = kernel();
    kernel.map_frame(SPARE, SPACE, PAGE, true).expect("maps");
    kernel.map_frame(EXTRA, SPACE, Gva::new(0x2000), true).expect("maps");
    kernel.revoke(FRAME).expect("revokes");
    assert_eq!(kernel.reachable(), []);
    kernel.copy_frame(SPARE, FRAME).expect("the slot is empty");
}
