//! Entry points for the fuzz targets in `fuzz/`: whatever the bytes are, none
//! of these may panic, and what is placed must keep its promises.

use crate::elf::{Elf, PT_NOTE, Segment};
use crate::note::notes;
use crate::testing;
use crate::{Image, MIB, Options, Platform, default_memory, detect, place, solo5};

/// Takes `data` as an image file, then as damage done to a good one.
pub fn image(data: &[u8]) {
    all_of_it(data);
    let (&choice, damage) = data.split_first().unwrap_or((&0, &[]));
    let good = match choice % 3 {
        0 => testing::pc64(),
        version => testing::solo5_without_devices(u32::from(version)),
    };
    let mut bytes = good.bytes();
    for (byte, change) in bytes.iter_mut().zip(damage) {
        *byte ^= change;
    }
    all_of_it(&bytes);
}

/// Takes `data` as the content of a note segment.
pub fn solo5_notes(data: &[u8]) {
    let content = Segment {
        index: 0,
        kind: PT_NOTE,
        flags: 4,
        virtual_address: 0,
        physical_address: 0,
        file_offset: 0,
        content: data,
        memory_size: data.len() as u64,
        align: 4,
    };
    let elf = Elf { entry: 0, segments: vec![content] };
    assert!(notes(&elf).count() <= data.len() / 12, "a note takes twelve bytes at least");
    let _ = solo5::has_notes(&elf);
    let _ = solo5::version(&elf);
    let _ = solo5::Manifest::read(&elf);
    if let Ok(mut manifest) = solo5::Manifest::parse(data) {
        assert_eq!(manifest.to_bytes().len(), data.len(), "a manifest keeps its size");
        let _ = manifest.attach(&[]);
    }
}

fn all_of_it(bytes: &[u8]) {
    let image = Image { name: "fuzz", bytes };
    let Ok(detected) = detect(&image) else { return };
    let _ = default_memory(&image, detected);
    let platforms = [Platform::Solo5Hvt, Platform::Pc64];
    for (platform, rewrite) in platforms.into_iter().flat_map(|p| [(p, false), (p, true)]) {
        let options = Options { memory_bytes: Some(4 * MIB), rewrite, ..Options::default() };
        match place(&image, platform, &options) {
            Ok(guest) => assert_eq!(guest.violation(), None),
            Err(refusal) => assert!(!refusal.to_string().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn undamaged_templates_are_placed() {
        // No damage: the good images themselves pass through.
        for choice in 0..3 {
            super::image(&[choice]);
        }
        super::solo5_notes(&crate::testing::note(b"Solo5", 7, b"abc"));
    }
}
