//! The walker against the reference: every combination of P, W, U, PS and a
//! reserved bit on every level (cut below a not-present one), A and D, every
//! access and mode.

use crate::model::machine::{A, D, P, PS, U, W};
use crate::model::memory::Ram;
use crate::model::reference;
use shadow_core::{Access, FrameKind, HostMap, PagingContext, VcpuId, WalkFailure, walk};
use x86::{Gfn, Gva, Level};

struct AllRam;

impl HostMap for AllRam {
    fn kind(&self, _: Gfn) -> FrameKind {
        FrameKind::Ram
    }
}

/// Entry slots 1, 2, 3, 4 and an offset.
const VA: u64 = 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12 | 0x567;
const ROOT: u64 = 1;

fn contexts() -> impl Iterator<Item = (PagingContext, Access)> {
    let modes = [(false, false), (false, true), (true, false), (true, true)];
    modes.into_iter().flat_map(|(user, write_protect)| {
        let cpu = PagingContext { vcpu: VcpuId::BOOT, root: Gfn::new(ROOT), write_protect, user };
        [Access::Read, Access::Write, Access::Execute].map(|access| (cpu, access))
    })
}

/// Walks and compares the outcome, and every change to memory.
fn compare(ram: &Ram, va: u64) {
    for (cpu, access) in contexts() {
        let write = access == Access::Write;
        let expected = reference::access(ram, ROOT << 12, va, write, cpu.user, cpu.write_protect);
        ram.stores.borrow_mut().clear();
        let got = walk(ram, &AllRam, &cpu, Gva::new(va), access);
        let stores: Vec<_> = ram.stores.borrow_mut().drain(..).collect();
        match (expected, got) {
            (Err(code), Err(WalkFailure::PageFault(fault))) => {
                assert_eq!(
                    (fault.code.bits(), fault.address.get()),
                    (code, va),
                    "{cpu:?} {access:?}"
                );
                assert!(stores.is_empty(), "a failed walk stored {stores:x?}");
            }
            (Ok((page, used)), Ok(walk)) => {
                assert_eq!(walk.gfn.get(), page.frame_of(va));
                assert_eq!(walk.rights.contains(shadow_core::Rights::WRITE), page.w);
                assert_eq!(walk.rights.contains(shadow_core::Rights::USER), page.u);
                assert_eq!(walk.leaf_level.span(), page.size);
                assert_eq!(walk.dirty, page.d || write);
                check_stores(&stores, &used, write);
            }
            (expected, got) => {
                panic!("{cpu:?} {access:?}: {expected:x?}, but the walker says {got:x?}")
            }
        }
        for store in stores {
            ram.poke(store.gpa, store.old);
        }
    }
}

/// A on every entry used that lacks it, D on the leaf of a write, nothing else.
fn check_stores(stores: &[crate::model::memory::Store], used: &[u64], write: bool) {
    let leaf = *used.last().expect("a path");
    for store in stores {
        assert!(used.contains(&store.gpa), "stored outside the path");
        let allowed = if store.gpa == leaf && write { A | D } else { A };
        assert_eq!(store.new, store.old | allowed, "wrong bits");
        assert_ne!(store.new, store.old, "needless store");
    }
}

/// Goes through all entries of `level` and below; `done` are the sums of
/// compared walks.
fn sweep(ram: &Ram, level: Level, table: u64, accessed: u64, reserved: u64, walks: &mut u64) {
    let gpa = table << 12 | (level.index(Gva::new(VA)) as u64) << 3;
    // Superpage frames must be aligned: frame 0 serves all.
    for bits in 0..32_u64 {
        let flag = |n: u64, value: u64| if bits >> n & 1 == 1 { value } else { 0 };
        let mut entry =
            flag(0, P) | flag(1, W) | flag(2, U) | flag(3, PS) | flag(4, reserved) | accessed;
        let present = entry & P != 0;
        let large = entry & PS != 0 && matches!(level, Level::L2 | Level::L3);
        let leaf = large || level == Level::L1;
        if !leaf {
            entry |= (table + 1) << 12;
        }
        match level.below() {
            Some(below) if present && !leaf => {
                ram.poke(gpa, entry);
                sweep(ram, below, table + 1, accessed, reserved, walks);
            }
            _ => {
                let all = [0, A, D, A | D];
                for accessed_dirty in if present && leaf { &all[..] } else { &all[..1] } {
                    ram.poke(gpa, entry & !A | accessed_dirty);
                    compare(ram, VA);
                    *walks += 12;
                }
            }
        }
    }
}

#[test]
fn every_combination_of_bits_matches_the_reference() {
    let ram = Ram::new(16);
    let mut walks = 0;
    for (accessed, reserved) in [(0, 1 << 63), (A, 1 << 40)] {
        sweep(&ram, Level::L4, ROOT, accessed, reserved, &mut walks);
    }
    assert!(walks > 500_000, "{walks} walks");
}

#[test]
fn every_entry_bit_alone_matches_the_reference() {
    let ram = Ram::new(16);
    for bit in 0..64 {
        for target in Level::TOP_DOWN {
            for large in [None, Some(Level::L3), Some(Level::L2)] {
                for level in Level::TOP_DOWN {
                    let table = ROOT + (4 - level as u64);
                    let mut entry = (table + 1) << 12 | P | W | U;
                    if large == Some(level) {
                        entry = P | W | U | PS;
                    }
                    if level == target {
                        entry ^= 1 << bit;
                    }
                    ram.poke(table << 12 | (level.index(Gva::new(VA)) as u64) << 3, entry);
                }
                compare(&ram, VA);
            }
        }
    }
}

#[test]
fn tables_outside_ram_read_as_ones() {
    let ram = Ram::new(16);
    for (cpu, access) in contexts() {
        let cpu = PagingContext { root: Gfn::new(16), ..cpu };
        let Err(WalkFailure::PageFault(fault)) = walk(&ram, &AllRam, &cpu, Gva::new(VA), access)
        else {
            panic!("a reserved-bit fault")
        };
        let rest = fault.code.bits() & (reference::WRITE | reference::USER);
        assert_eq!(fault.code.bits(), reference::PROTECTION | reference::RESERVED | rest);
    }
}

#[test]
fn addresses_that_are_not_canonical_are_not_walked() {
    let ram = Ram::new(16);
    for (cpu, access) in contexts() {
        for va in [1 << 47, 0x8000_0000_0000_1234, 0xffff_7fff_ffff_ffff] {
            assert_eq!(
                walk(&ram, &AllRam, &cpu, Gva::new(va), access),
                Err(WalkFailure::NonCanonical)
            );
        }
    }
}
