//! One bad image, or set of options, for every [`Problem`].

use std::collections::BTreeSet;

use system::compiled::MAX_REWRITES;

use crate::testing::{
    ABI1, ElfWriter, FUNCTION, MFT1, RESERVED, abi, entry, manifest, note, pc64, solo5,
};
use crate::{Device, DeviceKind, Image, MIB, Options, Platform, Problem, place};

/// What placing must be refused for.
struct Case {
    platform: Platform,
    bytes: Vec<u8>,
    options: Options,
    /// Part of the message.
    message: &'static str,
}

fn solo5_case(elf: &ElfWriter, message: &'static str) -> Case {
    bytes_case(elf.bytes(), message)
}

fn bytes_case(bytes: Vec<u8>, message: &'static str) -> Case {
    let options = Options { memory_bytes: Some(4 * MIB), ..Options::default() };
    Case { platform: Platform::Solo5Hvt, bytes, options, message }
}

fn pc64_case(elf: &ElfWriter, message: &'static str) -> Case {
    Case { platform: Platform::Pc64, ..solo5_case(elf, message) }
}

fn patched(offset: usize, bytes: &[u8], message: &'static str) -> Case {
    let mut file = solo5(1, &[]).bytes();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    bytes_case(file, message)
}

fn options_case(options: Options, message: &'static str) -> Case {
    Case { options, ..solo5_case(&solo5(1, &[]), message) }
}

/// An otherwise good image with this `ABI1` descriptor.
fn with_abi(descriptor: &[u8], message: &'static str) -> Case {
    let entries = [entry(b"", RESERVED)];
    let elf = ElfWriter::new(0x10_0000).code(0x10_0000).note(b"Solo5", ABI1, descriptor).note(
        b"Solo5",
        MFT1,
        &manifest(1, 1, &entries),
    );
    solo5_case(&elf, message)
}

/// An otherwise good image with this `MFT1` descriptor.
fn with_manifest(descriptor: &[u8], message: &'static str) -> Case {
    let elf = ElfWriter::new(0x10_0000)
        .code(0x10_0000)
        .note(b"Solo5", ABI1, &abi(1, 1))
        .note(b"Solo5", MFT1, descriptor);
    solo5_case(&elf, message)
}

fn headers() -> Vec<Case> {
    let good = solo5(1, &[]).bytes();
    let last = good.len() - 1;
    vec![
        bytes_case(vec![0; 192 * MIB as usize + 1], "at most 192 MiB"),
        bytes_case(good[..63].to_vec(), "it has 63 bytes"),
        bytes_case(b"\x7fE".to_vec(), "it has 2 bytes"),
        bytes_case(b"#!/bin/sh\n".to_vec(), "it begins with 23 21 2f 62"),
        patched(4, &[1], "a 32-bit ELF file"),
        patched(4, &[9], "unknown ELF class 9"),
        patched(5, &[2], "not little endian"),
        patched(20, &[7], "unknown ELF version 7"),
        patched(18, &[183, 0], "ELF machine 183"),
        patched(16, &[3], "position-independent"),
        patched(16, &[1], "relocatable"),
        patched(52, &[63], "ELF64 has 64 and 56"),
        patched(54, &[32], "ELF64 has 64 and 56"),
        patched(56, &[0], "no loadable segment"),
        patched(56, &[0xff, 0xff], "65535 program headers at offset 0x40 do not fit"),
        patched(32, &[0xff; 8], "at offset 0xffffffffffffffff do not fit"),
        bytes_case(good[..last].to_vec(), "the file ends at"),
        solo5_case(&ElfWriter::new(0).note(b"Solo5", ABI1, &abi(1, 1)), "no loadable segment"),
    ]
}

fn segments() -> Vec<Case> {
    let second = |change: fn(&mut crate::testing::Segment), message| {
        let elf = ElfWriter::new(0x10_0000)
            .note(b"Solo5", ABI1, &abi(1, 2))
            .note(b"Solo5", MFT1, &manifest(1, 1, &[entry(b"", RESERVED)]))
            .code(0x10_0000)
            .data(0x10_1000, 0x1000)
            .with(change);
        solo5_case(&elf, message)
    };
    vec![
        second(
            |s| s.memory_size = 8,
            "segment 3 has 0x10 bytes in the file and only 0x8 in memory",
        ),
        second(|s| s.memory_size = u64::MAX, "passes the end of all addresses"),
        second(|s| s.file_size = u64::MAX, "the file is truncated: segment 3"),
        second(|s| s.align = 3, "alignment 0x3"),
        second(|s| s.align = 0, "alignment 0x0"),
        second(
            |s| (s.align, s.memory_size) = (1, 0x800),
            "does not begin and end at page boundaries",
        ),
        second(|s| s.address = 0xf_f000, "lies below 0x100000"),
        second(|s| s.align = 1 << 21, "lies below 0x100000"),
        second(|s| s.address = 0x10_0800, "segments 2 and 3 overlap at 0x100000"),
        second(|s| s.address = 0xffff_8000_0000_0000, "outside the lower canonical half"),
        second(|s| s.flags = 7, "both writable and executable"),
        second(|s| s.address = 4 << 20, "the guest is larger than its memory: segment 3"),
        second(|s| s.memory_size = 4 << 20, "memory ends at 0x400000 (4 MiB)"),
        solo5_case(
            &ElfWriter { entry: 0x10_2000, ..solo5(1, &[]) }.data(0x10_0000, 0x1000),
            "follows one at 0x101000",
        ),
        solo5_case(&ElfWriter { entry: 0xf_ffff, ..solo5(1, &[]) }, "the entry point 0xfffff"),
        solo5_case(&ElfWriter { entry: 4 << 20, ..solo5(1, &[]) }, "the entry point 0x400000"),
    ]
}

fn notes() -> Vec<Case> {
    let reserved = entry(b"", RESERVED);
    let mut unterminated = entry(b"", 1);
    unterminated[..68].fill(b'n');
    let mut attached = entry(b"disk", 1);
    attached[96] = 1;
    let truncated = &note(b"Solo5", ABI1, &abi(1, 1))[..24];
    vec![
        solo5_case(&pc64(), "No Solo5 ABI information found in executable"),
        with_abi(&abi(2, 1), "not for the solo5-hvt target, but for target 2 (spt)"),
        with_abi(&abi(1, 3), "unsupported ABI version 3"),
        with_abi(&[0; 12], "ABI1 note does not fall within valid size: 12 bytes"),
        with_abi(&[0; 36], "ABI1 note does not fall within valid size: 36 bytes"),
        solo5_case(&pc64().raw_note(truncated), "ABI1 note does not fall within valid size"),
        solo5_case(
            &ElfWriter::new(0x10_0000).code(0x10_0000).note(b"Solo5", ABI1, &abi(1, 1)),
            "No Solo5 manifest found in executable",
        ),
        with_manifest(&[0], "MFT1 note does not fall within valid size: 1 bytes"),
        with_manifest(&[0; 7000], "MFT1 note does not fall within valid size: 7000 bytes"),
        with_manifest(&manifest(2, 1, &[reserved]), "manifest is invalid: version 2"),
        with_manifest(&manifest(1, 0, &[]), "0 entries"),
        with_manifest(&manifest(1, 65, &[]), "65 entries, 1 to 64"),
        with_manifest(
            &manifest(1, 2, &[reserved]),
            "it has 112 bytes, its number of entries takes 216",
        ),
        with_manifest(&manifest(1, 1, &[entry(b"disk", 1)]), "entry 0 is of type 0x1"),
        with_manifest(
            &manifest(1, 1, &[entry(b"x", RESERVED)]),
            "entry 0 is of type 0x40000000 or has a name",
        ),
        with_manifest(&manifest(1, 2, &[reserved, unterminated]), "the name of entry 1 has no end"),
        with_manifest(&manifest(1, 2, &[reserved, attached]), "entry 1 claims to be attached"),
        with_manifest(
            &manifest(1, 2, &[reserved, entry(b"gpu", 9)]),
            "entry 1 is of unknown type 0x9",
        ),
        solo5_case(&solo5(1, &[(b"disk", 1)]), "missing: 'disk' (BLOCK_BASIC)"),
    ]
}

fn options() -> Vec<Case> {
    let memory = |bytes| Options { memory_bytes: Some(bytes), ..Options::default() };
    let device = Device {
        name: "disk".to_owned(),
        kind: DeviceKind::Block { capacity: MIB, block_size: 512 },
    };
    let devices = Options { devices: vec![device], ..Options::default() };
    let arguments = |argument: String| Options { arguments: vec![argument], ..Options::default() };
    let version_2 = solo5(2, &[]);
    vec![
        options_case(memory(3 * MIB), "guest memory of 3 MiB is not possible"),
        options_case(memory(0), "2 MiB to 1024 MiB"),
        options_case(memory(1026 * MIB), "2 MiB to 1024 MiB"),
        Case { options: memory(4098 * MIB), ..solo5_case(&version_2, "2 MiB to 4096 MiB") },
        options_case(arguments("x".repeat(8192)), "8192 bytes when joined; the guest takes 8191"),
        options_case(arguments("a\0b".to_owned()), "argument 0 contains a NUL"),
        options_case(devices.clone(), "Resource not declared in manifest: 'disk'"),
        Case { options: devices, ..pc64_case(&pc64(), "no devices of the Solo5 kind") },
        Case { options: memory(5 * MIB), ..pc64_case(&pc64(), "2 MiB to 2048 MiB") },
        Case { options: arguments("x".repeat(2048)), ..pc64_case(&pc64(), "the guest takes 2047") },
    ]
}

fn kernels() -> Vec<Case> {
    let kernel = ElfWriter::new(0x20_0000).code(0x20_0000);
    vec![
        pc64_case(&kernel.clone().code(0xffff_ffff_8000_0000), "outside the lower canonical half"),
        pc64_case(&kernel.clone().code(0x7fff_ffff_f001), "outside the lower canonical half"),
        pc64_case(&kernel.clone().code(0xf_f000), "lies below 0x100000"),
        pc64_case(&kernel.clone().code(0x20_0fff), "segments 0 and 1 overlap at 0x200fff"),
        pc64_case(
            &kernel.clone().data(0x30_0000, 0x10_0000),
            "ends at 0x400000, memory ends at 0x3e0000",
        ),
        pc64_case(&ElfWriter { entry: 0x20_1000, ..kernel }, "the entry point 0x201000"),
    ]
}

/// What only an image that is to be rewritten is refused for.
fn rewrites() -> Vec<Case> {
    let kernel = |code: &[u8]| ElfWriter::new(0x20_0000).load(5, 0x20_0000, code, 0x10_0000);
    let cli = vec![0xfa; MAX_REWRITES + 1];
    let mut no_sections = kernel(&[0xc3]).bytes();
    no_sections[40..48].copy_from_slice(&[0xff; 8]);
    no_sections[60] = 1;
    let cases = [
        pc64_case(&kernel(&[0xc3, 0x8e, 0xd8]), "cannot be told apart"),
        pc64_case(
            &kernel(&cli).symbol(FUNCTION, 0x20_0000, cli.len() as u64),
            "instructions would have to be rewritten or known",
        ),
        pc64_case(
            &kernel(&[0xc3; 2]).load(5, 0x20_0001, &[0xc3], 1),
            "two sections of code overlap at 0x200001",
        ),
        Case {
            platform: Platform::Pc64,
            ..bytes_case(no_sections, "sections and symbols cannot be read")
        },
    ];
    let rewriting = |mut case: Case| {
        case.options.rewrite = true;
        case
    };
    cases.map(rewriting).into()
}

/// The variants of [`Problem`], from its source.
fn variants() -> BTreeSet<String> {
    let source = include_str!("../problem.rs");
    let body = source.split("pub enum Problem {").nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let name = |line: &str| line.trim().split([' ', ',']).next().unwrap().to_owned();
    lines.map(name).filter(|name| name.starts_with(char::is_uppercase)).collect()
}

#[test]
fn every_problem_is_found_and_told() {
    let mut seen = BTreeSet::new();
    let cases = [headers(), segments(), notes(), options(), kernels(), rewrites()];
    for case in cases.into_iter().flatten() {
        let image = Image { name: "apps/bad", bytes: &case.bytes };
        let refusal = place(&image, case.platform, &case.options).expect_err(case.message);
        let text = refusal.to_string();
        assert!(text.starts_with("apps/bad: ") && text.contains("\n  fix: "), "{text}");
        assert!(text.contains(case.message), "expected {:?} in: {text}", case.message);
        let name = format!("{:?}", refusal.problem);
        seen.insert(name.split([' ', '{']).next().unwrap().to_owned());
    }
    // The loader's own structures always fit into the least memory.
    seen.insert("OutsideMemory".to_owned());
    // Only a defect of the rewriter can cause this; `rewrite::verify` tests it.
    seen.insert("RewriteBroken".to_owned());
    let missing: Vec<_> = variants().difference(&seen).cloned().collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
    assert!(variants().len() > 40, "the list of variants was not read");
}

#[test]
fn outside_memory_says_where() {
    let problem = Problem::OutsideMemory { start: 0x1000, end: 0x2000, memory: MIB };
    assert_eq!(problem.to_string(), "0x1000-0x2000 does not fit into the guest's memory of 1 MiB");
}
