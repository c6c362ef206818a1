//! Entry points for the fuzz targets in `fuzz/`: whatever the bytes are, none
//! of these may panic, and what is accepted must keep its promises.

use std::path::Path;
use std::sync::OnceLock;

use crate::address_map::{IMAGE, IMAGE_END};
use crate::compile::ArchiveImage;
use crate::compiled::{Archive, CHECKED_FROM};
use crate::manifest::{InMemory, load_from};
use crate::program::Program;
use crate::root_image::with_archive;
use crate::testing::{self, Part, elf, seal, use_all};

/// Good manifests to start from.
const MANIFESTS: [&str; 2] =
    [testing::MANIFEST, include_str!("../../../manifests/quickstart.toml")];

/// Takes `data` as a manifest, then as changes to a good one.
pub fn manifest(data: &[u8]) {
    load(data);
    let [choice, at, removed, inserted @ ..] = data else {
        return;
    };
    let good = MANIFESTS[usize::from(*choice) % MANIFESTS.len()].as_bytes();
    let start = good.len() * usize::from(*at) / 256;
    let end = good.len().min(start + usize::from(*removed));
    load(&[&good[..start], inserted, &good[end..]].concat());
}

/// Loads `data`: a manifest, and behind a byte 0xff, which no text has, a
/// fragment that it may inherit.
fn load(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0xff);
    let mut part = || parts.next().unwrap_or_default().to_vec();
    let path = Path::new("m.toml");
    let pc = include_bytes!("../../../manifests/fragments/pc.toml").to_vec();
    let mut files = InMemory::default();
    files.0.insert(path.to_owned(), part());
    files.0.insert("f.toml".into(), part());
    files.0.insert("i".into(), vec![0; 4096]);
    files.0.insert("fragments/pc.toml".into(), pc);
    match load_from(&files, path, None) {
        Ok(system) => {
            let text = system.to_toml();
            files.0.insert(path.to_owned(), text.clone().into_bytes());
            let again = load_from(&files, path, None).expect("a written manifest is valid");
            assert_eq!(again.to_toml(), text, "and means the same");
        }
        Err(diagnostics) => {
            assert!(!diagnostics.list().is_empty());
            diagnostics.render(true);
            diagnostics.render_json();
        }
    }
}

/// Takes `data` as damage to the tables of a good archive, under a checksum
/// that fits: a position, a value, and so on.
pub fn archive(data: &[u8]) {
    static GOOD: OnceLock<ArchiveImage> = OnceLock::new();
    let mut archive = GOOD.get_or_init(testing::archive).clone();
    let tables =
        Archive::read(archive.as_bytes()).expect("a good archive").segments[0].offset as usize;
    let bytes = archive.as_mut_bytes();
    for damage in data.chunks_exact(3) {
        let position = usize::from(u16::from_le_bytes([damage[0], damage[1]]));
        bytes[CHECKED_FROM + position % (tables - CHECKED_FROM)] = damage[2];
    }
    seal(bytes);
    if let Ok(archive) = Archive::read(archive.as_bytes()) {
        use_all(&archive);
    }
}

/// Takes `data` as a process's ELF file, then as damage to the headers of a
/// good one: a position, a value, and so on.
pub fn program(data: &[u8]) {
    flatten(data);
    let text = Part::load(IMAGE, 5, &[0x90; 100], 100);
    let bss = Part::load(IMAGE + 0x1010, 6, &[1; 8], 0x2000);
    let mut file = elf(IMAGE, &[text, bss]);
    for damage in data.chunks_exact(2) {
        file[usize::from(damage[0])] = damage[1];
    }
    flatten(&file);
}

fn flatten(file: &[u8]) {
    if let Ok(program) = Program::from_elf(file) {
        let mut below = IMAGE;
        for segment in &program.segments {
            assert!(segment.address >= below, "segments ascend");
            assert!(segment.bytes.len() as u64 <= segment.memory_bytes);
            below = segment.address + segment.memory_bytes;
        }
        assert!(below <= IMAGE_END);
    }
    if let Ok(image) = with_archive(file, &[1; 8]) {
        assert!(image.len() > file.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Printable ASCII, controls, a separator of lines, and a character of four bytes.
    fn character() -> impl Strategy<Value = char> {
        prop_oneof![
            8 => proptest::char::range(' ', '~'),
            1 => Just('\n'),
            1 => proptest::char::range('\u{80}', '\u{a0}'),
            1 => Just('\u{2028}'),
            1 => Just('\u{1f600}'),
        ]
    }

    proptest! {
        #[test]
        fn any_damage_to_a_program_is_refused_or_harmless(data in proptest::collection::vec(any::<u8>(), 0..20)) {
            program(&data);
        }

        #[test]
        fn any_bytes_are_a_manifest_or_a_message(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            manifest(&data);
        }

        #[test]
        fn any_text_is_a_manifest_or_a_message(text in proptest::collection::vec(character(), 0..100)) {
            let text: String = text.into_iter().collect();
            manifest(text.as_bytes());
        }
    }
}
