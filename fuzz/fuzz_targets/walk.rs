//! Walks over random table memory, against the reference MMU of the tests.
#![no_main]

#[path = "../../crates/shadow-core/tests/model/memory.rs"]
#[allow(dead_code)]
mod memory;
#[path = "../../crates/shadow-core/tests/model/reference.rs"]
#[allow(dead_code)]
mod reference;

use memory::Ram;
use shadow_core::{Access, FrameKind, HostMap, PagingContext, VcpuId, WalkFailure, walk};
use x86::{Gfn, Gva};

/// Frames of RAM; entries lead there or anywhere.
const FRAMES: u64 = 8;

struct AllRam;

impl HostMap for AllRam {
    fn kind(&self, _: Gfn) -> FrameKind {
        FrameKind::Ram
    }
}

/// An address whose indices are below four, so that entries are met.
fn address(choice: u16) -> u64 {
    let index = |shift: u16| u64::from(choice >> shift & 3);
    index(0) << 39 | index(2) << 30 | index(4) << 21 | index(6) << 12 | u64::from(choice >> 8)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let ram = Ram::new(FRAMES);
    let (entries, rest) = data.as_chunks::<10>();
    for [place, frame, value @ ..] in entries {
        // The frame bits are random, or those of a small number.
        let mut value = u64::from_le_bytes(*value);
        if frame & 0x80 != 0 {
            value = value & 0xfff | u64::from(frame & 15) << 12;
        }
        let (table, slot) = (u64::from(place >> 2) % FRAMES, u64::from(place & 3));
        ram.poke(table << 12 | slot << 3, value);
    }
    let choice = rest.iter().fold(0_u16, |sum, byte| sum << 3 ^ u16::from(*byte));
    for mode in 0..12_u16 {
        let va = address(choice.wrapping_add(mode.wrapping_mul(0x55)));
        let (user, wp) = (mode & 1 != 0, mode & 2 != 0);
        let access = [Access::Read, Access::Write, Access::Execute][usize::from(mode / 4)];
        let cpu = PagingContext { vcpu: VcpuId::BOOT, root: Gfn::new(1), write_protect: wp, user };
        let expected = reference::access(&ram, 1 << 12, va, access == Access::Write, user, wp);
        match (walk(&ram, &AllRam, &cpu, Gva::new(va), access), expected) {
            (Ok(walk), Ok((page, _))) => assert_eq!(walk.gfn.get(), page.frame_of(va)),
            (Err(WalkFailure::PageFault(fault)), Err(code)) => {
                assert_eq!((fault.code.bits(), fault.address.get()), (code, va));
            }
            // A walk's own A may change the tables that it goes through.
            (Err(WalkFailure::Changed), _) => {}
            (got, expected) => panic!("{got:?}, but the reference says {expected:x?}"),
        }
    }
});
