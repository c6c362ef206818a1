//! Properties of placing whatever comes in.

use proptest::prelude::*;

use crate::note::notes;
use crate::testing::{ElfWriter, FUNCTION, LABEL, OBJECT, pc64, solo5};
use crate::{Image, KernelSupport, MIB, Options, Platform, Problem, elf::Elf, place, rewrite};

/// Places on both platforms; what is placed must keep the type's promises.
fn try_both(bytes: &[u8]) {
    let ways = [
        (Platform::Solo5Hvt, false),
        (Platform::Solo5Hvt, true),
        (Platform::Pc64, false),
        (Platform::Pc64, true),
    ];
    for (platform, rewrite) in ways {
        let options = Options { memory_bytes: Some(4 * MIB), rewrite, ..Options::default() };
        if let Ok(guest) = place(&Image { name: "x", bytes }, platform, &options) {
            assert_eq!(guest.violation(), None);
        }
    }
}

/// Bytes of which many begin or continue sensitive instructions and branches.
fn code_byte() -> impl Strategy<Value = u8> {
    let telling = [
        0x0f, 0xa2, 0x8e, 0xd8, 0x9c, 0x9d, 0x48, 0xcf, 0xcb, 0xfa, 0xcd, 0xeb, 0x74, 0x66, 0x22,
        0xc3, 0x90, 0xe8, 0x00, 0x01, 0x02, 0x05, 0x8d, 0xff,
    ];
    prop_oneof![3 => proptest::sample::select(telling.to_vec()), 1 => any::<u8>()]
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_placed(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        try_both(&bytes);
    }

    #[test]
    fn damaged_images_are_refused_or_placed(
        version in 1..=2_u32,
        kernel: bool,
        damage in proptest::collection::vec((0..800_usize, any::<u8>()), 1..6),
        cut in 0..20_000_usize,
    ) {
        let elf = if kernel { pc64() } else { solo5(version, &[]) };
        let mut bytes = elf.bytes();
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut.max(64));
        try_both(&bytes);
    }

    #[test]
    fn segments_wherever_they_are(
        first in 0..6 * MIB,
        second in 0..6 * MIB,
        sizes in (0..3 * MIB, 0..3 * MIB),
        align in prop_oneof![Just(0), Just(1), Just(4096), Just(1 << 21), any::<u64>()],
    ) {
        let elf = solo5(1, &[]).data(first, sizes.0.max(16)).with(|s| s.align = align);
        try_both(&elf.data(second, sizes.1.max(16)).bytes());
    }

    /// Whatever the code is, rewriting is refused or passes its own check, and
    /// putting the table's bytes back makes the original.
    #[test]
    fn any_code_is_refused_or_rewritten(
        code in proptest::collection::vec(code_byte(), 1..200),
        symbols in proptest::collection::vec((0..200_u64, 0..60_u64, 0..3_u8), 0..6),
    ) {
        let base = 0x20_0000;
        let mut elf = ElfWriter::new(base).load(5, base, &code, code.len() as u64);
        for (at, size, kind) in symbols {
            elf = elf.symbol([FUNCTION, LABEL, OBJECT][usize::from(kind)], base + at, size);
        }
        let bytes = elf.bytes();
        match rewrite(&bytes, Platform::Pc64, KernelSupport::ExactSyscall) {
            Ok(done) => {
                let mut restored = done.bytes;
                for entry in done.table {
                    let at = 64 + 56 + (entry.rip - base) as usize;
                    let original = entry.instruction().unwrap();
                    restored[at..at + original.len()].copy_from_slice(original);
                }
                prop_assert_eq!(restored, bytes);
            }
            Err(problem) => {
                let expected = matches!(problem, Problem::CodeOrData { .. } | Problem::SectionTable { .. });
                prop_assert!(expected, "{problem}");
            }
        }
    }

    #[test]
    fn note_bytes_never_panic_and_are_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let file = pc64().raw_note(&bytes).bytes();
        let elf = Elf::parse(&file).unwrap();
        // A note takes twelve bytes at least.
        prop_assert!(notes(&elf).count() <= bytes.len() / 12);
    }
}
