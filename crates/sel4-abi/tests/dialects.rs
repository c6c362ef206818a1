//! Both dialects on miniature trees: numbers, features, generated source.

use std::path::PathBuf;

use sel4_abi::{Abi, RegisterBases, XmlDialect, generate};

fn fixture(name: &str) -> Abi {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    Abi::read(&directory).unwrap_or_else(|error| panic!("{error}"))
}

/// Labels that a C compiler gave for this configuration of 5.0.0.
const STRINGS: &[(&str, u64)] = &[
    ("UntypedRetype", 1),
    ("TCBConfigure", 5),
    ("TCBSetIPCBuffer", 8),
    ("TCBUnbindNotification", 13),
    ("CNodeRevoke", 14),
    ("CNodeSaveCaller", 22),
    ("IRQClearIRQHandler", 26),
    ("X86PDPTMap", 28),
    ("X86PageDirectoryMap", 30),
    ("X86PageTableMap", 33),
    ("X86PageMap", 37),
    ("X86PageRemap", 38),
    ("X86PageUnmap", 39),
    ("X86PageGetAddress", 41),
    ("X86ASIDControlMakePool", 42),
    ("X86IOPortIn8", 44),
    ("X86IRQIssueIRQHandlerIOAPIC", 50),
];

/// The same of 16.0.0.
const ELEMENTS: &[(&str, u64)] = &[
    ("UntypedRetype", 1),
    ("TCBConfigure", 5),
    ("TCBSetSchedParams", 8),
    ("TCBSetIPCBuffer", 9),
    ("TCBSetFlags", 16),
    ("CNodeRevoke", 17),
    ("CNodeSaveCaller", 25),
    ("DomainScheduleSetStart", 32),
    ("X86PDPTMap", 33),
    ("X86PageMap", 39),
    ("X86PageUnmap", 40),
    ("X86PageGetAddress", 41),
    ("X86IOPortControlIssue", 44),
    ("X86IOPortOut32", 50),
    ("X86IRQIssueIRQHandlerMSI", 52),
];

#[test]
fn strings_dialect() {
    let abi = fixture("strings");
    assert_eq!(abi.dialect, XmlDialect::Strings);
    for (id, label) in STRINGS {
        assert_eq!(abi.labels.get(*id), Some(label), "{id}");
    }
    assert!(!abi.labels.contains_key("TCBSetAffinity"));
    assert_eq!(abi.syscalls["ReplyRecv"], -2);
    assert!(!abi.syscalls.contains_key("DebugPutChar"), "the configuration is a release kernel");
    assert_eq!(abi.types.page_4k, 7);
    let features = &abi.features;
    assert!(features.packed_boot_info && features.tagged_cap_data && features.page_remap);
    assert!(features.configure_has_priority && !features.io_port_control);
    assert_eq!((features.message_label_bits, features.bases), (20, RegisterBases::FsGs));
}

#[test]
fn elements_dialect() {
    let abi = fixture("elements");
    assert_eq!(abi.dialect, XmlDialect::Elements);
    for (id, label) in ELEMENTS {
        assert_eq!(abi.labels.get(*id), Some(label), "{id}");
    }
    assert!(!abi.labels.contains_key("X86PageRemap"));
    assert_eq!(abi.syscalls["NBRecv"], -8);
    assert_eq!(abi.syscalls["DebugPutChar"], -9);
    assert!(!abi.syscalls.contains_key("DebugHalt"));
    assert_eq!((abi.types.huge_page, abi.types.page_4k), (Some(7), 8));
    let features = &abi.features;
    assert!(!features.packed_boot_info && !features.tagged_cap_data && !features.page_remap);
    assert!(features.priority_needs_authority && features.io_port_control);
    assert!(!features.configure_has_priority && features.debug_put_char && !features.debug_halt);
    assert_eq!((features.message_label_bits, features.bases), (52, RegisterBases::FsGs));
}

#[test]
fn generated_source() {
    let old = generate::rust_source(&fixture("strings")).unwrap();
    for line in [
        "pub const X86_PAGE_MAP: u64 = 37;",
        "pub const X86_PAGE_REMAP: Option<u64> = Some(38);",
        "pub const TCB_SET_SCHED_PARAMS: Option<u64> = None;",
        "pub const REPLY_RECV: i64 = -2;",
        "pub const TYPE_HUGE_PAGE: Option<u64> = None;",
        "boot_info: BootInfoLayout::Packed,",
        "context_words: 20,",
    ] {
        assert!(old.contains(line), "{line} is not in\n{old}");
    }
    assert!(!old.contains("DEBUG_PUT_CHAR"));
    let new = generate::rust_source(&fixture("elements")).unwrap();
    for line in [
        "pub const X86_PAGE_REMAP: Option<u64> = None;",
        "pub const X86_IO_PORT_CONTROL_ISSUE: Option<u64> = Some(44);",
        "pub const DEBUG_PUT_CHAR: i64 = -9;",
        "cap_data: CapDataEncoding::Plain,",
    ] {
        assert!(new.contains(line), "{line} is not in\n{new}");
    }
    assert_eq!(
        generate::cfg_flags(&fixture("elements")),
        ["sel4_debug_put_char", "sel4_huge_page"]
    );
}
