//! Properties of placing whatever comes in.

use proptest::prelude::*;

use crate::note::notes;
use crate::testing::{pc64, solo5};
use crate::{Image, MIB, Options, Platform, elf::Elf, place};

/// Places on both platforms; what is placed must keep the type's promises.
fn try_both(bytes: &[u8]) {
    for platform in [Platform::Solo5Hvt, Platform::Pc64] {
        let options = Options {
            memory_bytes: Some(4 * MIB),
            ..Options::default()
        };
        if let Ok(guest) = place(&Image { name: "x", bytes }, platform, &options) {
            assert_eq!(guest.violation(), None);
        }
    }
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

    #[test]
    fn note_bytes_never_panic_and_are_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let file = pc64().raw_note(&bytes).bytes();
        let elf = Elf::parse(&file).unwrap();
        // A note takes twelve bytes at least.
        prop_assert!(notes(&elf).count() <= bytes.len() / 12);
    }
}
