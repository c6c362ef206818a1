//! Placing for `pc64`.

use super::walk::{Translation, string, translate, word};
use crate::testing::{ElfWriter, pc64};
use crate::{DEFAULT_MEMORY, Image, MIB, Options, PlacedGuest, Platform, default_memory, place};

fn placed(elf: &ElfWriter, options: &Options) -> PlacedGuest {
    let image = Image { name: "kernel", bytes: &elf.bytes() };
    let guest = place(&image, Platform::Pc64, options).unwrap();
    assert_eq!(guest.violation(), None);
    guest
}

fn with_memory(memory: u64) -> Options {
    Options { memory_bytes: Some(memory), ..Options::default() }
}

#[test]
fn registers_follow_the_boot_protocol() {
    let start = placed(&pc64(), &Options::default()).start;
    assert_eq!((start.rip, start.rsp, start.rsi, start.rdi), (0x20_0010, 0x8ff0, 0x7000, 0));
    assert_eq!((start.cr0, start.cr3, start.cr4, start.efer), (0x8001_0031, 0x9000, 0x20, 0x500));
    assert_eq!((start.gdt_base, start.gdt_limit, start.idt_limit), (0x500, 0x27, 0));
    assert_eq!((start.code_selector, start.data_selector, start.task_selector), (8, 0x10, 0x18));
    assert_eq!(start.rflags, 2, "interrupts are off");
}

#[test]
fn ram_is_mapped_one_to_one() {
    for memory in [4 * MIB, 1024 * MIB, 2048 * MIB] {
        let guest = placed(&pc64(), &with_memory(memory));
        for gpa in [0, 0x7000, 0x20_0000, memory / 2 + 5, memory - 1] {
            assert_eq!(translate(&guest, gpa), Some(Translation { gpa, writable: true }));
        }
        assert_eq!(translate(&guest, memory), None);
    }
}

#[test]
fn boot_params_tell_memory_and_command_line() {
    let arguments = vec!["console=ttyS0".to_owned(), "quiet".to_owned()];
    let guest = placed(&pc64(), &Options { arguments, ..with_memory(32 * MIB) });
    let half = |offset: u64| word(&guest, 0x7000 + offset) as u32;
    assert_eq!(word(&guest, 0x7000 + 0x1f8) >> 48, 0xaa55, "boot flag at 0x1fe");
    assert_eq!(
        word(&guest, 0x7000 + 0x200) >> 16 & 0xffff_ffff,
        u64::from(u32::from_le_bytes(*b"HdrS"))
    );
    assert_eq!(string(&guest, u64::from(half(0x228))), "console=ttyS0 quiet");
    assert_eq!(half(0x238), 19);

    // As QEMU's firmware reports a PC of 32 MiB; seen on QEMU 7.2.
    let seen = [
        (0, 0x9fc00, 1),
        (0x9fc00, 0x400, 2),
        (0xf0000, 0x10000, 2),
        (0x10_0000, 0x1ee_0000, 1),
        (0x1fe_0000, 0x2_0000, 2),
        (0xfffc_0000, 0x4_0000, 2),
        (0xfd_0000_0000, 0x3_0000_0000, 2),
    ];
    assert_eq!(half(0x1e8) & 0xff, 7);
    let entry = |number: u64| {
        let at = |offset: u64| {
            let gpa = 0x7000 + 0x2d0 + number * 20 + offset;
            let low = word(&guest, gpa & !7) >> (gpa % 8 * 8);
            let high = if gpa.is_multiple_of(8) {
                0
            } else {
                word(&guest, (gpa & !7) + 8) << (64 - gpa % 8 * 8)
            };
            low | high
        };
        (at(0), at(8), at(16) & 0xffff_ffff)
    };
    let map: Vec<_> = (0..7).map(entry).collect();
    assert_eq!(map, seen);
}

#[test]
fn physical_addresses_decide_where_segments_go() {
    let elf = ElfWriter::new(0x20_0000).code(0x20_0000).data(0x4000_0000, 0x2000);
    let elf = elf.with(|segment| segment.physical = 0x30_0100);
    let guest = placed(&elf, &Options::default());
    assert_eq!(word(&guest, 0x30_0100), 0xdddd_dddd_dddd_dddd);
    assert!(guest.read_only.is_empty(), "protection is the guest's own business");
}

#[test]
fn memory_defaults_to_what_the_image_needs() {
    let needs =
        |elf: &ElfWriter| default_memory(&Image { name: "a", bytes: &elf.bytes() }, Platform::Pc64);
    assert_eq!(needs(&pc64()), Ok(DEFAULT_MEMORY));
    let large = pc64().data(0x40_0000, 100 * MIB);
    assert_eq!(needs(&large), Ok(106 * MIB));
    placed(&large, &Options::default());
}

#[test]
fn other_vcpus_wait_beside_the_mailbox() {
    let guest = placed(&pc64(), &Options { vcpus: 4, ..with_memory(2048 * MIB) });
    let waits = guest.secondary.unwrap();
    let mailbox = 2048 * MIB - 0x1000;
    assert_eq!((waits.rdi, waits.rip), (mailbox, mailbox + 0x800));
    assert_eq!(waits.rflags, 2, "interrupts are off");
    let code = word(&guest, waits.rip).to_le_bytes();
    assert_eq!(code, [0xf4, 0x48, 0x8b, 0x47, 0x08, 0x66, 0xc7, 0x07]);
    assert_eq!(word(&guest, mailbox), 0, "no command");
    // They run on tables and descriptors of their own, outside usable RAM.
    let other = PlacedGuest { start: waits, ..guest.clone() };
    let usable_end = 2048 * MIB - 0x2_0000;
    assert!(waits.cr3 >= usable_end && waits.gdt_base >= usable_end);
    for gpa in [0, 0x20_0000, 1024 * MIB, mailbox] {
        let writable = true;
        assert_eq!(translate(&other, gpa), Some(Translation { gpa, writable }));
    }
    for entry in [8, 16, 24] {
        assert_eq!(
            word(&guest, waits.gdt_base + entry),
            word(&guest, guest.start.gdt_base + entry)
        );
    }
    // The last but two entries of the memory map: ACPI NVS.
    assert_eq!(word(&guest, 0x7000 + 0x1e8) & 0xff, 8);
    let at = 0x7000 + 0x2d0 + 5 * 20;
    let start = word(&guest, at & !7) >> 32 | word(&guest, (at & !7) + 8) << 32;
    assert_eq!(start, waits.cr3);
    assert_eq!(word(&guest, (at + 16) & !7) >> (8 * ((at + 16) % 8)) & 0xffff_ffff, 4);
    assert_eq!(placed(&pc64(), &Options::default()).secondary, None);
}
