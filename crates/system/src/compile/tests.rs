use proptest::prelude::*;

use super::*;
use crate::compiled::{Archive, ArchiveError, ProgramKind};
use crate::name::Name;
use crate::testing::{MANIFEST, archive, payload, programs, seal, system, use_all};

#[test]
fn what_is_written_can_be_read() {
    let image = archive();
    let archive = Archive::read(image.as_bytes()).unwrap();
    for (kind, program) in ProgramKind::ALL.iter().zip(archive.programs) {
        let [text, data] = archive.segments_of(program) else { panic!("two segments each") };
        assert_eq!(archive.segment_bytes(text), kind.name().as_bytes());
        assert_eq!((text.writable, data.writable, data.memory_bytes), (0, 1, 0x3000));
    }
    let [one, two] = archive.guests else { panic!("two guests") };
    assert_eq!((one.name.as_str(), one.priority, one.memory_bytes), ("one", 7, 32 << 20));
    assert_eq!(archive.load_bytes(&archive.loads_of(one)[0]), [1; 5000]);
    assert_eq!(archive.load_bytes(&archive.loads_of(two)[0]), [2; 4096]);
    assert_eq!(archive.read_only_of(two), [GpaRange { start: 0x10_0000, end: 0x10_1000 }]);
    assert_eq!(archive.patches_of(two)[0].gpa, 0x10_0008);
    let known: Vec<_> = archive
        .rewrites_of(two)
        .iter()
        .map(|entry| (entry.rip, entry.instruction().unwrap()))
        .collect();
    let cpuid = &[0x0f, 0xa2][..];
    assert_eq!(known, [(0x10_0020, cpuid), (0x10_0022, cpuid)]);
    assert_eq!(two.start.rip, 0x10_0020);
    assert_eq!((two.pools.pts, two.pools.spaces, two.pools.frames), (100, 4, 8192));
    let [injection] = archive.injections else { panic!("one injection") };
    assert_eq!((injection.guest, injection.program, injection.after_faults), (1, 1, 3));
}

#[test]
fn bytes_lie_on_pages_and_the_archive_is_whole_pages() {
    let image = archive();
    let archive = Archive::read(image.as_bytes()).unwrap();
    assert!(image.as_bytes().len().is_multiple_of(4096));
    for load in archive.guests.iter().flat_map(|guest| archive.loads_of(guest)) {
        assert!(load.offset.is_multiple_of(4096));
    }
}

#[test]
fn equal_bytes_are_stored_once() {
    let (system, programs) = (system(MANIFEST), programs());
    let size = |second: u8| {
        let payloads = [payload(vec![1; 1 << 20]), payload(vec![second; 1 << 20])];
        compile(&system, &programs, &payloads).unwrap().as_bytes().len()
    };
    assert_eq!(size(2) - size(1), 1 << 20);
}

#[test]
fn an_archive_that_is_too_large_names_its_largest_guest() {
    let payloads = [payload(vec![1; 1000]), payload(vec![2; MAX_ARCHIVE as usize])];
    let refused = compile(&system(MANIFEST), &programs(), &payloads).unwrap_err();
    let [record] = &refused.records()[..] else { panic!("{refused}") };
    assert_eq!(
        (record.code, record.key.as_str()),
        ("compose-archive-too-large", "guest.two.build")
    );
}

#[test]
fn an_image_with_too_many_ranges_is_refused() {
    let mut payloads = [payload(vec![1]), payload(vec![2])];
    payloads[1].read_only = vec![GpaRange::default(); MAX_READ_ONLY + 1];
    let refused = compile(&system(MANIFEST), &programs(), &payloads).unwrap_err();
    assert_eq!(refused.records()[0].code, "compose-read-only");
    assert_eq!(refused.records()[0].key, "guest.two.build");
}

/// A platform that was found in the image, after the manifest's check.
#[test]
fn several_vcpus_need_a_place_to_wait() {
    let several = system(&MANIFEST.replace("rewrite = false", "vcpus = 3"));
    let mut payloads = [payload(vec![1]), payload(vec![2])];
    let refused = compile(&several, &programs(), &payloads).unwrap_err();
    assert_eq!(refused.records()[0].code, "several-vcpus");
    payloads[1].secondary = Some(VcpuStart { rip: 0x10_0800, ..VcpuStart::default() });
    let image = compile(&several, &programs(), &payloads).unwrap();
    let archive = Archive::read(image.as_bytes()).unwrap();
    let [one, two] = archive.guests else { panic!("two guests") };
    assert_eq!((one.vcpus, one.secondary.rip), (1, 0));
    assert_eq!((two.vcpus, two.secondary.rip), (3, 0x10_0800));
}

#[test]
fn an_image_that_the_loader_refuses_is_shown_in_the_manifest() {
    let problem = Problem::ComposeImageRefused {
        what: "it is 32-bit".to_owned(),
        why: "guests are 64-bit".to_owned(),
        fix: "build it for x86-64".to_owned(),
    };
    let text = system(MANIFEST).refuse_guest(0, problem).render(false);
    assert!(text.contains("guest.one.solo5-test: it is 32-bit"), "{text}");
    assert!(text.contains("m.toml:5:"), "{text}");
}

#[test]
#[should_panic(expected = "loads start on pages")]
fn a_payload_that_breaks_a_rule_is_the_callers_mistake() {
    let mut payloads = [payload(vec![1]), payload(vec![2])];
    payloads[0].loads[0].gpa += 1;
    let _ = compile(&system(MANIFEST), &programs(), &payloads);
}

#[test]
fn a_system_larger_than_the_machine_is_refused() {
    let mut large = payload(vec![1]);
    large.memory_bytes = 600 << 20;
    let refused = compile(&system(MANIFEST), &programs(), &[large, payload(vec![2])]).unwrap_err();
    let [record] = &refused.records()[..] else { panic!("{refused}") };
    assert_eq!((record.code, record.key.as_str()), ("machine-too-small", "machine.memory"));
    assert!(record.why.starts_with("guest `one` 6"), "the largest share first: {}", record.why);
}

/// Bytes of the tables of [`archive`]: where damage does the most.
fn table_bytes(archive: &ArchiveImage) -> usize {
    let first = Archive::read(archive.as_bytes()).unwrap().segments[0].offset;
    first as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_byte_is_found(position in any::<proptest::sample::Index>(), damage in 1_u8..) {
        let mut archive = archive();
        let bytes = archive.as_mut_bytes();
        bytes[position.index(bytes.len())] ^= damage;
        prop_assert!(Archive::read(archive.as_bytes()).is_err());
    }

    /// Damage under a checksum that fits: tables may say anything.
    #[test]
    fn sealed_damage_never_panics(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        length in any::<proptest::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut archive = archive();
        let tables = table_bytes(&archive);
        let bytes = archive.as_mut_bytes();
        for (position, value) in damage {
            bytes[CHECKED_FROM + position.index(tables - CHECKED_FROM)] = value;
        }
        seal(bytes);
        let end = if cut { length.index(bytes.len() + 1) } else { bytes.len() };
        if let Ok(archive) = Archive::read(&archive.as_bytes()[..end]) {
            use_all(&archive);
        }
    }
}

#[test]
fn every_cut_is_found() {
    let archive = archive();
    let bytes = archive.as_bytes();
    for end in (0..table_bytes(&archive)).chain([bytes.len() - 1]) {
        assert_eq!(Archive::read(&bytes[..end]).err(), Some(ArchiveError::Truncated), "{end}");
    }
    assert_eq!(
        use_all(&Archive::read(bytes).unwrap()),
        5000 + 4096 + 4 + 2 * 4 + 1 + programs_bytes()
    );
}

fn programs_bytes() -> usize {
    ProgramKind::ALL.iter().map(|kind| kind.name().len()).sum()
}

/// Every rule of [`crate::compiled`]'s check, broken one at a time.
#[test]
fn fields_that_no_writer_writes_are_refused() {
    let system = system(MANIFEST);
    let refused = |change: &dyn Fn(&mut Tables<'_>)| {
        let (programs, payloads) = (programs(), [payload(vec![1; 5000]), payload(vec![2; 4096])]);
        let mut tables = Tables::of(&system, &programs, &payloads);
        change(&mut tables);
        match Archive::read(tables.write().as_bytes()) {
            Err(ArchiveError::Content(rule)) => rule,
            other => panic!("{:?}", other.err()),
        }
    };
    assert_eq!(
        refused(&|t| {
            t.programs.pop();
        }),
        "one program of each kind"
    );
    assert_eq!(refused(&|t| t.programs[0].stack_pages = 0), "a stack has 1 to 1024 pages");
    assert_eq!(refused(&|t| t.segments[0].address += 1), "segments start on pages");
    assert_eq!(refused(&|t| t.segments[0].memory_bytes += 1), "segments are whole pages");
    assert_eq!(
        refused(&|t| t.segments[1].address -= 4096),
        "segments ascend inside the image region"
    );
    assert_eq!(
        refused(&|t| t.segments[1].memory_bytes = 1 << 40),
        "segments end inside the image region"
    );
    assert_eq!(
        refused(&|t| t.segments[1].memory_bytes = !4095),
        "segments end inside the image region"
    );
    assert_eq!(refused(&|t| t.segments[0].memory_bytes = 0), "a segment's bytes fit its memory");
    assert_eq!(refused(&|t| t.segments[0].offset = 8), "bytes start on pages");
    assert_eq!(
        refused(&|t| t.guests = vec![t.guests[0]; 17]),
        "no more guests than process numbers"
    );
    assert_eq!(refused(&|t| t.guests[0].name = Name::EMPTY), "guests have names");
    assert_eq!(refused(&|t| t.guests[0].platform = 9), "guests have known platforms");
    assert_eq!(refused(&|t| t.guests[0].vcpus = 9), "guests have 1 to 8 vCPUs");
    assert_eq!(refused(&|t| t.guests[0].priority = 0), "guests have guests' priorities");
    assert_eq!(refused(&|t| t.guests[0].memory_bytes = 0), "guest memory fits the window");
    assert_eq!(refused(&|t| t.guests[0].memory_bytes -= 1), "guest memory is whole pages");
    assert_eq!(
        refused(&|t| t.guests[0].pools.frames += 1),
        "there is one frame per page of guest memory"
    );
    assert_eq!(refused(&|t| t.guests[0].metadata_bytes = 1 << 40), "metadata fits its region");
    assert_eq!(refused(&|t| t.loads[0].gpa += 8), "loads start on pages");
    assert_eq!(refused(&|t| t.loads[0].gpa = (32 << 20) - 4096), "loads lie in guest memory");
    assert_eq!(refused(&|t| t.ranges[0].end += 1), "ranges are whole pages");
    assert_eq!(refused(&|t| t.ranges[0].end = 1 << 40), "ranges lie in guest memory");
    let rule = "rewritten instructions ascend and have lengths";
    assert_eq!(refused(&|t| t.rewrites[0].length = 0), rule);
    assert_eq!(refused(&|t| t.rewrites[1].length = 16), rule);
    assert_eq!(refused(&|t| t.rewrites[1].rip = t.rewrites[0].rip), rule);
    assert_eq!(refused(&|t| t.patches[0].kind = 0), "patches are of known kinds");
    assert_eq!(refused(&|t| t.patches[0].gpa += 1), "patches are 8-aligned");
    assert_eq!(refused(&|t| t.patches[0].gpa = 32 << 20), "patches lie in guest memory");
    assert_eq!(refused(&|t| t.injections[0].guest = 2), "injections name a guest");
    assert_eq!(refused(&|t| t.injections[0].program = 2), "injections name a process of a guest");
}
