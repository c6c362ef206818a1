//! Placing for `solo5-hvt`.

use x86::Gpa;

use super::walk::{Translation, string, translate, word};
use crate::testing::{ElfWriter, pc64, solo5};
use crate::{
    DEFAULT_MEMORY, Device, DeviceKind, Image, MIB, Options, PatchKind, PlacedGuest, Platform,
    Problem, default_memory, detect, place,
};

fn options(memory: u64, arguments: &[&str]) -> Options {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    Options { memory_bytes: Some(memory), arguments, vcpus: 1, devices: Vec::new(), rewrite: false }
}

fn placed(elf: &ElfWriter, options: &Options) -> PlacedGuest {
    let image = Image { name: "test.hvt", bytes: &elf.bytes() };
    let guest = place(&image, Platform::Solo5Hvt, options).unwrap();
    assert_eq!(guest.violation(), None);
    guest
}

#[test]
fn a_solo5_note_decides_the_platform() {
    let solo5 = solo5(1, &[]).bytes();
    assert_eq!(detect(&Image { name: "a", bytes: &solo5 }), Ok(Platform::Solo5Hvt));
    assert_eq!(detect(&Image { name: "b", bytes: &pc64().bytes() }), Ok(Platform::Pc64));
    // A damaged note is still a Solo5 image, refused for what is wrong with it.
    let short = pc64().raw_note(b"\x06\0\0\0\xff\0\0\0ABI1Solo5\0\0\0").bytes();
    assert_eq!(detect(&Image { name: "c", bytes: &short }), Ok(Platform::Solo5Hvt));
}

#[test]
fn registers_are_the_tenders() {
    let start = placed(&solo5(1, &[]), &options(4 * MIB, &[])).start;
    assert_eq!((start.rip, start.rsp, start.rdi, start.rsi), (0x10_0020, 0x3f_fff8, 0x1_0000, 0));
    assert_eq!((start.cr0, start.cr3, start.cr4, start.efer), (0x8001_0031, 0x2000, 0x620, 0x500));
    assert_eq!((start.gdt_base, start.gdt_limit, start.idt_limit), (0x1000, 0x17, 0));
    assert_eq!((start.code_selector, start.data_selector, start.task_selector), (8, 0x10, 0));
    assert_eq!(start.rflags, 2);
}

#[test]
fn tables_map_what_the_tender_maps() {
    for (version, memory) in [(1, 2 * MIB), (1, 1024 * MIB), (2, 34 * MIB), (2, 4096 * MIB)] {
        let guest = placed(&solo5(version, &[]), &options(memory, &[]));
        assert_eq!(translate(&guest, 0), None);
        assert_eq!(translate(&guest, 0xffff), None, "GDT and tables are out of the guest's reach");
        for gpa in [0x1_0000, 0xf_ffff] {
            assert_eq!(translate(&guest, gpa), Some(Translation { gpa, writable: false }));
        }
        for gpa in [0x10_0000, 0x1f_ffff, memory / 2, memory - 1] {
            if gpa >= 0x10_0000 {
                assert_eq!(translate(&guest, gpa), Some(Translation { gpa, writable: true }));
            }
        }
        assert_eq!(translate(&guest, memory), None);
        assert_eq!(translate(&guest, 1 << 39), None);
    }
}

#[test]
fn table_addresses_differ_by_version() {
    let level_1 = |version| {
        let guest = placed(&solo5(version, &[]), &options(2 * MIB, &[]));
        word(&guest, 0x4000) & !0xfff
    };
    assert_eq!((level_1(1), level_1(2)), (0x5000, 0x8000));
}

#[test]
fn gdt_has_code_and_data() {
    let guest = placed(&solo5(1, &[]), &options(2 * MIB, &[]));
    assert_eq!(word(&guest, 0x1000), 0);
    assert_eq!(word(&guest, 0x1008), 0x00af_9900_0000_ffff);
    assert_eq!(word(&guest, 0x1010), 0x00cf_9300_0000_ffff);
}

#[test]
fn boot_information() {
    for (version, size) in [(1, 40), (2, 56)] {
        let guest = placed(&solo5(version, &[]), &options(8 * MIB, &["--solo5:quiet", "a b", ""]));
        let manifest = 0x1_0000 + size;
        let command_line = manifest + 8 + 104;
        assert_eq!(word(&guest, 0x1_0000), 8 * MIB);
        assert_eq!(word(&guest, 0x1_0008), 0x10_4000, "end of the image");
        assert_eq!(word(&guest, 0x1_0018), command_line);
        assert_eq!(word(&guest, 0x1_0020), manifest);
        assert_eq!(string(&guest, command_line), "--solo5:quiet a b ");
        assert_eq!(word(&guest, manifest), 1 << 32 | 1, "version 1, one entry");
        if version == 2 {
            assert_eq!((word(&guest, 0x1_0028), word(&guest, 0x1_0030)), (0, 0), "nothing offered");
        }
        let [patch] = guest.patches[..] else { panic!("one patch: {:?}", guest.patches) };
        assert_eq!((patch.gpa, patch.kind), (Gpa::new(0x1_0010), PatchKind::TscHz));
    }
}

#[test]
fn segments_are_placed_and_protected() {
    let guest = placed(&solo5(1, &[]), &options(2 * MIB, &[]));
    assert_eq!(word(&guest, 0x10_0000), 0xcccc_cccc_cccc_cccc);
    assert_eq!(word(&guest, 0x10_1008), 0xdddd_dddd_dddd_dddd);
    assert_eq!(word(&guest, 0x10_1010), 0, "behind the file's bytes");
    assert_eq!(guest.read_only, [(Gpa::new(0x1_0000), Gpa::new(0x10_1000))]);
}

#[test]
fn version_2_layout_with_empty_tdata() {
    let elf = solo5(2, &[])
        .load(4, 0x10_4000, &[0x11; 8], 4096) // constants
        .load(4, 0, &[], 0) // an empty .tdata
        .load(6, 0x10_5000, &[], 0x20_0000); // .bss
    let guest = placed(&elf, &options(4 * MIB, &[]));
    assert_eq!(word(&guest, 0x1_0008), 0x30_5000);
    let ranges: Vec<_> =
        guest.read_only.iter().map(|(start, end)| (start.get(), end.get())).collect();
    assert_eq!(ranges, [(0x1_0000, 0x10_1000), (0x10_4000, 0x10_5000)]);
}

#[test]
fn attached_devices_are_described_to_the_guest() {
    let elf = solo5(1, &[(b"disk", 1), (b"net0", 2)]);
    let device = |name: &str, kind| Device { name: name.to_owned(), kind };
    let disk = device("disk", DeviceKind::Block { capacity: 4 * MIB, block_size: 512 });
    let net = device("net0", DeviceKind::Net { mac: [2, 0, 0, 0, 0, 7], mtu: 1500 });
    let both = Options { devices: vec![net, disk.clone()], ..options(2 * MIB, &[]) };
    let guest = placed(&elf, &both);
    let entry = |number: u64| 0x1_0028 + 8 + number * 104;
    assert_eq!(string(&guest, entry(1)), "disk");
    assert_eq!(word(&guest, entry(1) + 72), 4 * MIB);
    assert_eq!(word(&guest, entry(1) + 80), 512);
    assert_eq!(word(&guest, entry(2) + 72), 1500 << 48 | 7 << 40 | 2);
    for (number, attached) in [(0, 0), (1, 1), (2, 1)] {
        assert_eq!(word(&guest, entry(number) + 88), 0, "the tender's own field");
        assert_eq!(word(&guest, entry(number) + 96), attached);
    }

    let one = Options { devices: vec![disk], ..options(2 * MIB, &[]) };
    let refusal =
        place(&Image { name: "x.hvt", bytes: &elf.bytes() }, Platform::Solo5Hvt, &one).unwrap_err();
    assert_eq!(
        refusal.problem,
        Problem::DevicesNotAttached { devices: vec!["'net0' (NET_BASIC)".to_owned()] }
    );
    assert!(refusal.to_string().contains("All declared devices must be attached"), "{refusal}");
}

#[test]
fn memory_defaults_to_what_the_image_needs() {
    let needs = |elf: &ElfWriter| {
        default_memory(&Image { name: "a", bytes: &elf.bytes() }, Platform::Solo5Hvt)
    };
    assert_eq!(needs(&solo5(1, &[])), Ok(DEFAULT_MEMORY));
    let large = solo5(2, &[]).load(6, 0x20_0000, &[], 64 * MIB);
    // 66 MiB of image, half a MiB of heap and stack, in steps of 2 MiB.
    assert_eq!(needs(&large), Ok(68 * MIB));
    placed(&large, &Options::default());
}

#[test]
fn the_longest_command_line_fits() {
    let longest = "x".repeat(8191);
    let guest = placed(&solo5(2, &[]), &options(2 * MIB, &[&longest]));
    assert_eq!(string(&guest, word(&guest, 0x1_0018)), longest);
}
