//! Writes the constants of a kernel as Rust source for the `sel4` crate.
//!
//! ```text
//! pub mod label   { pub const UNTYPED_RETYPE: u64 = 1; pub const X86_PAGE_REMAP: Option<u64> = … }
//! pub mod syscall { pub const CALL: i64 = -1; … }
//! pub mod object  { pub const TYPE_TCB: u64 = 1; pub const SIZE_TCB: u64 = 11; … }
//! pub const ABI: Abi = Abi { boot_info: BootInfoLayout::Packed, … };
//! ```
//!
//! Types of `sel4`'s module `dialect` are named, so the text is included beside them.

use std::fmt::Write as _;

use crate::abi::Abi;
use crate::features::RegisterBases;

/// Methods that every kernel must have, by id.
const REQUIRED: &[&str] = &[
    "UntypedRetype",
    "TCBReadRegisters",
    "TCBWriteRegisters",
    "TCBConfigure",
    "TCBSetPriority",
    "TCBSetMCPriority",
    "TCBSetIPCBuffer",
    "TCBSetSpace",
    "TCBSuspend",
    "TCBResume",
    "TCBBindNotification",
    "TCBUnbindNotification",
    "CNodeRevoke",
    "CNodeDelete",
    "CNodeCancelBadgedSends",
    "CNodeCopy",
    "CNodeMint",
    "CNodeMove",
    "CNodeMutate",
    "CNodeRotate",
    "CNodeSaveCaller",
    "IRQAckIRQ",
    "IRQSetIRQHandler",
    "IRQClearIRQHandler",
    "X86PDPTMap",
    "X86PDPTUnmap",
    "X86PageDirectoryMap",
    "X86PageDirectoryUnmap",
    "X86PageTableMap",
    "X86PageTableUnmap",
    "X86PageMap",
    "X86PageUnmap",
    "X86PageGetAddress",
    "X86ASIDControlMakePool",
    "X86ASIDPoolAssign",
    "X86IOPortIn8",
    "X86IOPortIn16",
    "X86IOPortIn32",
    "X86IOPortOut8",
    "X86IOPortOut16",
    "X86IOPortOut32",
    "X86IRQIssueIRQHandlerIOAPIC",
    "X86IRQIssueIRQHandlerMSI",
];

/// Methods that only some kernels have.
const OPTIONAL: &[&str] = &["TCBSetSchedParams", "X86PageRemap", "X86IOPortControlIssue"];

/// System calls that every kernel must have.
const SYSCALLS: &[&str] =
    &["Call", "ReplyRecv", "Send", "NBSend", "Recv", "Reply", "Yield", "NBRecv"];

/// System calls that only debug or printing kernels have.
const OPTIONAL_SYSCALLS: &[&str] = &["DebugPutChar", "DebugHalt", "DebugNameThread"];

/// The Rust source of all constants.
///
/// # Errors
///
/// The name of a method or system call that the bindings need and the kernel lacks.
pub fn rust_source(abi: &Abi) -> Result<String, String> {
    let mut text = String::from("// Generated from the kernel's interface files.\n");
    labels(abi, &mut text)?;
    syscalls(abi, &mut text)?;
    objects(abi, &mut text);
    description(abi, &mut text);
    Ok(text)
}

/// The names of the conditional-compilation flags that hold for a kernel, out of [`CFG_NAMES`].
pub fn cfg_flags(abi: &Abi) -> Vec<&'static str> {
    let values = [
        abi.features.debug_put_char,
        abi.features.debug_halt,
        abi.features.debug_name_thread,
        abi.types.huge_page.is_some(),
    ];
    CFG_NAMES.into_iter().zip(values).filter_map(|(name, on)| on.then_some(name)).collect()
}

/// Every flag that [`cfg_flags`] may return.
pub const CFG_NAMES: [&str; 4] =
    ["sel4_debug_put_char", "sel4_debug_halt", "sel4_debug_name_thread", "sel4_huge_page"];

macro_rules! line {
    ($text:expr, $($argument:tt)*) => {{
        // Writing to a String cannot fail.
        let _ = writeln!($text, $($argument)*);
    }};
}

fn labels(abi: &Abi, text: &mut String) -> Result<(), String> {
    line!(text, "/// Invocation labels.\npub mod label {{");
    for id in REQUIRED {
        let label =
            abi.labels.get(*id).ok_or_else(|| format!("the kernel has no invocation {id}"))?;
        line!(text, "    pub const {}: u64 = {label};", constant_name(id));
    }
    for id in OPTIONAL {
        line!(
            text,
            "    pub const {}: Option<u64> = {:?};",
            constant_name(id),
            abi.labels.get(*id)
        );
    }
    line!(text, "}}");
    Ok(())
}

fn syscalls(abi: &Abi, text: &mut String) -> Result<(), String> {
    line!(text, "/// System call numbers.\npub mod syscall {{");
    for name in SYSCALLS {
        let number = abi
            .syscalls
            .get(*name)
            .ok_or_else(|| format!("the kernel has no system call {name}"))?;
        line!(text, "    pub const {}: i64 = {number};", constant_name(name));
    }
    for name in OPTIONAL_SYSCALLS {
        if let Some(number) = abi.syscalls.get(*name) {
            line!(text, "    pub const {}: i64 = {number};", constant_name(name));
        }
    }
    line!(text, "}}");
    Ok(())
}

fn objects(abi: &Abi, text: &mut String) {
    let types = &abi.types;
    let sizes = &abi.sizes;
    line!(text, "/// Object type numbers and sizes (powers of two, bytes).\npub mod object {{");
    for (name, value) in [
        ("TYPE_UNTYPED", types.untyped),
        ("TYPE_TCB", types.tcb),
        ("TYPE_ENDPOINT", types.endpoint),
        ("TYPE_NOTIFICATION", types.notification),
        ("TYPE_CNODE", types.cnode),
        ("TYPE_PDPT", types.pdpt),
        ("TYPE_PML4", types.pml4),
        ("TYPE_4K", types.page_4k),
        ("TYPE_LARGE_PAGE", types.large_page),
        ("TYPE_PAGE_TABLE", types.page_table),
        ("TYPE_PAGE_DIRECTORY", types.page_directory),
        ("SIZE_SLOT", sizes.slot),
        ("SIZE_TCB", sizes.tcb),
        ("SIZE_ENDPOINT", sizes.endpoint),
        ("SIZE_NOTIFICATION", sizes.notification),
    ] {
        line!(text, "    pub const {name}: u64 = {value};");
    }
    line!(text, "    pub const TYPE_HUGE_PAGE: Option<u64> = {:?};", types.huge_page);
    line!(text, "}}");
}

fn description(abi: &Abi, text: &mut String) {
    let features = &abi.features;
    let pick = |on: bool, yes: &'static str, no: &'static str| if on { yes } else { no };
    line!(text, "/// How this kernel lays out what differs between releases.");
    line!(text, "pub const ABI: Abi = Abi {{");
    line!(
        text,
        "    boot_info: BootInfoLayout::{},",
        pick(features.packed_boot_info, "Packed", "Aligned")
    );
    line!(
        text,
        "    cap_data: CapDataEncoding::{},",
        pick(features.tagged_cap_data, "Tagged", "Plain")
    );
    line!(text, "    label_bits: {},", features.message_label_bits);
    line!(
        text,
        "    context_words: {},",
        match features.bases {
            RegisterBases::Fs => 19,
            RegisterBases::FsGs => 20,
        }
    );
    line!(
        text,
        "    priorities: Priorities::{},",
        pick(features.configure_has_priority, "InConfigure", "WithAuthority")
    );
    line!(text, "    remap: Remap::{},", pick(features.page_remap, "Invocation", "MapAgain"));
    line!(text, "    io_ports: IoPorts::{},", pick(features.io_port_control, "Issued", "Minted"));
    line!(
        text,
        "    max_untypeds: {},",
        abi.config.number("MAX_NUM_BOOTINFO_UNTYPED_CAPS").unwrap_or(230)
    );
    line!(text, "    retype_limit: {},", abi.config.number("RETYPE_FAN_OUT_LIMIT").unwrap_or(256));
    line!(text, "}};");
}

/// `X86PageDirectoryMap` → `X86_PAGE_DIRECTORY_MAP`, `TCBSetIPCBuffer` → `TCB_SET_IPC_BUFFER`.
fn constant_name(id: &str) -> String {
    let letters: Vec<char> = id.chars().collect();
    let mut name = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(index + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if starts_word {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::constant_name;

    #[test]
    fn constant_names() {
        for (id, name) in [
            ("X86PageDirectoryMap", "X86_PAGE_DIRECTORY_MAP"),
            ("TCBSetIPCBuffer", "TCB_SET_IPC_BUFFER"),
            ("X86PDPTMap", "X86_PDPT_MAP"),
            ("X86IOPortIn8", "X86_IO_PORT_IN8"),
            ("NBSend", "NB_SEND"),
            ("CNodeCopy", "C_NODE_COPY"),
            ("X86IRQIssueIRQHandlerIOAPIC", "X86_IRQ_ISSUE_IRQ_HANDLER_IOAPIC"),
            ("X86ASIDControlMakePool", "X86_ASID_CONTROL_MAKE_POOL"),
        ] {
            assert_eq!(constant_name(id), name);
        }
    }
}
