//! What differs between the kernels that the bindings serve, found in their files.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::source::{KernelFiles, XmlDialect};

/// Which segment bases a thread's register context has, after the 18 general words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterBases {
    /// FS only: 19 words (stock 5.0.0).
    Fs,
    /// FS and GS: 20 words (11.0.0 and later, and our 5.0.0).
    FsGs,
}

/// Properties of a kernel's API that user code must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Boot information is packed: 1-byte CNode size, unaligned words, 12-byte untyped descriptors.
    pub packed_boot_info: bool,
    /// Badges and guards are a tagged union in one word; badges of endpoints have 28 bits.
    pub tagged_cap_data: bool,
    /// Width of a message label in bits: 20 or 52.
    pub message_label_bits: u32,
    /// `TCB_Configure` takes a word with priority and maximum controlled priority.
    pub configure_has_priority: bool,
    /// `SetPriority` and its kin take the TCB whose authority is used as a capability.
    pub priority_needs_authority: bool,
    /// Rights of a mapping are changed by `Page_Remap`; otherwise by mapping again.
    pub page_remap: bool,
    /// I/O port capabilities are issued by a control capability; otherwise narrowed by minting.
    pub io_port_control: bool,
    /// Boot information has extra chunks of type 2 and up (memory map, RSDP, TSC frequency).
    pub boot_info_tsc_chunk: bool,
    /// Segment bases in the register context.
    pub bases: RegisterBases,
    /// The kernel prints characters on request.
    pub debug_put_char: bool,
    /// The kernel halts on request.
    pub debug_halt: bool,
    /// Threads can be given names, which the debug kernel prints.
    pub debug_name_thread: bool,
}

impl Features {
    pub(crate) fn detect(
        files: &KernelFiles,
        labels: &BTreeMap<String, u64>,
        syscalls: &BTreeMap<String, i64>,
    ) -> Result<Self, Error> {
        let old = files.dialect == XmlDialect::Strings;
        Ok(Self {
            packed_boot_info: old,
            tagged_cap_data: old,
            message_label_bits: if old { 20 } else { 52 },
            configure_has_priority: configure_has_priority(files),
            priority_needs_authority: labels.contains_key("TCBSetSchedParams"),
            page_remap: labels.contains_key("X86PageRemap"),
            io_port_control: labels.contains_key("X86IOPortControlIssue"),
            boot_info_tsc_chunk: !old,
            bases: register_bases(files)?,
            debug_put_char: syscalls.contains_key("DebugPutChar"),
            debug_halt: syscalls.contains_key("DebugHalt"),
            debug_name_thread: syscalls.contains_key("DebugNameThread"),
        })
    }
}

fn configure_has_priority(files: &KernelFiles) -> bool {
    files
        .interfaces
        .iter()
        .flat_map(|document| document.root.descendants("method"))
        .filter(|method| method.attribute("id") == Some("TCBConfigure"))
        .flat_map(|method| method.children_named("param"))
        .any(|param| param.attribute("name") == Some("priority"))
}

/// The 18 words that every context starts with.
const GENERAL: [&str; 18] = [
    "rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10",
    "r11", "r12", "r13", "r14", "r15",
];

fn register_bases(files: &KernelFiles) -> Result<RegisterBases, Error> {
    let document = &files.interfaces[1];
    let context = document
        .root
        .descendants("struct")
        .into_iter()
        .find(|element| element.attribute("name") == Some("seL4_UserContext"))
        .ok_or_else(|| document.error(&document.root, "no <struct name=\"seL4_UserContext\">"))?;
    let members: Vec<&str> =
        context.children_named("member").filter_map(|member| member.attribute("name")).collect();
    match members.strip_prefix(&GENERAL[..]) {
        Some(["tls_base" | "fs_base"]) => Ok(RegisterBases::Fs),
        Some(["tls_base" | "fs_base", "gs_base"]) => Ok(RegisterBases::FsGs),
        _ => Err(document.error(
            context,
            format!("seL4_UserContext has members that the bindings do not know: {members:?}"),
        )),
    }
}
