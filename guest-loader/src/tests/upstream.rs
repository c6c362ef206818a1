//! The same images through Solo5's own tender (ABI 1): what it loads must come
//! out byte for byte, and what it refuses must be refused.
//!
//! `upstream.c` includes the tender's loading code from the locked sources and
//! writes down what it did. Where the two may differ is said in [`stricter`]
//! and [`laxer`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use crate::elf::{Elf, PF_W, PT_LOAD, PT_NOTE};
use crate::note::notes;
use crate::testing::{ElfWriter, solo5_without_devices};
use crate::{Image, Options, PlacedGuest, Platform, Problem, place};

const MEMORY: u64 = 4 << 20;

/// What the tender did with an image.
#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    entry: u64,
    /// Pages that the guest may not write.
    read_only: Vec<u64>,
    /// Pages that are not all zero.
    pages: Vec<(u64, Vec<u8>)>,
}

/// The compiled driver.
static DRIVER: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = kernel_build::package(here.parent().unwrap(), "solo5-sys").unwrap();
    let solo5 = package.dir.join("solo5");
    let program = scratch("driver");
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-O1", "-w", "-I"]).arg(solo5.join("tenders"));
    gcc.arg("-I").arg(solo5.join("include"));
    gcc.arg(here.join("src/tests/upstream.c")).arg("-o").arg(&program);
    let output = gcc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
});

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("guest-loader-upstream-{}-{name}", std::process::id()))
}

/// Runs the tender's loader; `None` if it refuses.
fn upstream(bytes: &[u8], arguments: &[String]) -> Option<Loaded> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let image = scratch(&format!("image{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(&image, bytes).unwrap();
    let mut driver = Command::new(&*DRIVER);
    let output = driver.arg(&image).arg(MEMORY.to_string()).args(arguments).output().unwrap();
    std::fs::remove_file(&image).unwrap();
    if !output.status.success() {
        return None;
    }
    let mut words =
        output.stdout.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let mut next = || words.next().unwrap();
    let (entry, ranges) = (next(), next());
    let mut read_only: Vec<u64> = (0x10..0x100).map(|page| page * 4096).collect();
    for _ in 0..ranges {
        let (start, end, protection) = (next(), next(), next());
        if protection & 2 == 0 {
            read_only.extend((start..end).step_by(4096));
        }
    }
    let pages = &output.stdout[16 + 24 * ranges as usize..];
    let page =
        |bytes: &[u8]| (u64::from_le_bytes(bytes[..8].try_into().unwrap()), bytes[8..].to_vec());
    Some(Loaded { entry, read_only, pages: pages.chunks_exact(8 + 4096).map(page).collect() })
}

/// What this crate did, in the same terms; the driver's TSC runs at 1 Hz.
fn ours(guest: &PlacedGuest) -> Loaded {
    let mut pages = Vec::new();
    for load in &guest.loads {
        for (number, page) in (0..).zip(load.bytes.chunks_exact(4096)) {
            pages.push((load.gpa.get() + number * 4096, page.to_vec()));
        }
    }
    for patch in &guest.patches {
        let (base, offset) = (patch.gpa.get() & !4095, patch.gpa.page_offset() as usize);
        let page = pages.iter_mut().find(|(gpa, _)| *gpa == base).unwrap();
        page.1[offset..offset + 8].copy_from_slice(&1_u64.to_le_bytes());
    }
    let ranges = guest.read_only.iter();
    let read_only =
        ranges.flat_map(|(start, end)| (start.get()..end.get()).step_by(4096)).collect();
    Loaded { entry: guest.start.rip, read_only, pages }
}

/// Refusals of images that the tender takes, since nothing sound is lost.
fn stricter(problem: &Problem) -> bool {
    matches!(
        problem,
        // A kind of device unknown to Solo5, which no guest can use.
        Problem::ManifestKind { .. }
            // A note shorter than what is read from it; the tender reads on.
            | Problem::NoteSize { .. }
            // Segments of notes that reach past the file or the address space;
            // the tender reads only their first note.
            | Problem::SegmentTruncated { .. }
            | Problem::SegmentWraps { .. }
            // No segment at all, with an entry point into zeroed memory.
            | Problem::NothingToLoad
    )
}

/// Whether the image is one that only version 2 of the tender takes (a segment
/// of size 0), or whose notes the tender does not find: it reads only the first
/// note of a segment, and none if any segment of notes is tiny.
fn laxer(bytes: &[u8]) -> bool {
    let elf = Elf::parse(bytes).unwrap();
    let loads = elf.segments.iter().filter(|segment| segment.kind == PT_LOAD);
    let note_segments = elf.segments.iter().filter(|segment| segment.kind == PT_NOTE);
    loads.clone().any(|segment| segment.memory_size == 0)
        || note_segments.clone().any(|segment| segment.content.len() < 12)
        || notes(&elf).count() > note_segments.count()
}

fn compare(bytes: &[u8], arguments: &[String]) {
    let options = Options {
        memory_bytes: Some(MEMORY),
        arguments: arguments.to_vec(),
        vcpus: 1,
        devices: Vec::new(),
        rewrite: false,
    };
    let image = Image { name: "image", bytes };
    match (upstream(bytes, arguments), place(&image, Platform::Solo5Hvt, &options)) {
        (Some(theirs), Ok(guest)) => assert!(theirs == ours(&guest), "placed differently"),
        (None, Err(_)) => {}
        (Some(_), Err(refusal)) => assert!(stricter(&refusal.problem), "refused: {refusal}"),
        (None, Ok(guest)) => assert!(laxer(bytes), "accepted: {guest:?}"),
    }
}

#[test]
fn good_images_are_placed_as_upstream_does() {
    let arguments = ["--solo5:debug".to_owned(), "x y".to_owned(), String::new()];
    let good = solo5_without_devices(1);
    assert!(upstream(&good.bytes(), &arguments).is_some());
    compare(&good.bytes(), &arguments);
    compare(&good.clone().data(0x20_0000, 0x1f_0000).bytes(), &[]);
    compare(&good.load(4, 0x3f_f000, &[7; 4096], 4096).bytes(), &[]);
}

#[test]
fn its_own_tests_are_placed_as_upstream_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tests = crate::solo5_build::build_tests(root, &root.join("target/solo5"), &|_| ()).unwrap();
    for test in tests {
        let bytes = std::fs::read(&test.path).unwrap();
        assert!(upstream(&bytes, &[]).is_some(), "{}", test.name);
        compare(&bytes, &["Hello_Solo5".to_owned()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damaged_images(damage in proptest::collection::vec((0..560_usize, any::<u8>()), 1..4)) {
        let mut bytes = solo5_without_devices(1).bytes();
        for (at, value) in damage {
            bytes[at] = value;
        }
        compare(&bytes, &[]);
    }

    #[test]
    fn segments_anywhere(
        place in (0..0x500_u64, 0..0x500_u64),
        size in (0..0x300_u64, 0..0x300_u64),
        ends in prop_oneof![Just((0, 0)), (0..4096_u64, 0..4096_u64)],
        flags in 0..8_u32,
        align in prop_oneof![Just(4096), Just(0), Just(1), Just(16), Just(0x10000), Just(1 << 21)],
    ) {
        let elf: ElfWriter = solo5_without_devices(1)
            .load(flags, place.0 * 4096 + ends.0, &[1; 8], size.0 * 4096 + 8)
            .with(|segment| segment.align = align)
            .load(4 | PF_W, place.1 * 4096, &[2; 8], size.1 * 4096 + 8 + ends.1);
        compare(&elf.bytes(), &[]);
    }
}
