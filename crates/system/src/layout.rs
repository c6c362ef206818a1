//! The layout tables of the documentation, made from the data that builder
//! and processes use.
//!
//! Numbers come from [`cspace`](crate::cspace) and
//! [`address_map`](crate::address_map); only the words are written here. A
//! test in `tests/docs.rs` compares `docs/layout.md` with [`markdown`].

use std::fmt::Write;

use crate::address_map::{self, REGIONS};
use crate::cspace::{self, ServerSlots};
use crate::manifest::{DEFAULT_GUEST_MEMORY, Shadow};

/// A slot of a process's CNode.
struct Slot {
    /// Path of the constant.
    name: &'static str,
    number: u64,
    /// Who has something there.
    holders: &'static str,
    /// The object, and what it is for.
    object: &'static str,
    /// Rights, as letters of Read, Write, Grant.
    rights: &'static str,
    /// Who the receiver is told is sending.
    badge: &'static str,
}

macro_rules! slot {
    ($module:ident :: $name:ident, $holders:expr, $object:expr, $rights:expr, $badge:expr) => {
        Slot {
            name: concat!(stringify!($module), "::", stringify!($name)),
            number: cspace::$module::$name,
            holders: $holders,
            object: $object,
            rights: $rights,
            badge: $badge,
        }
    };
}

/// Every fixed slot, by process and number.
static SLOTS: [Slot; 15] = [
    slot!(
        process::ENDPOINT,
        "shadow-server, console, timer",
        "its own endpoint, where it receives",
        "R",
        ""
    ),
    slot!(
        process::SUPERVISOR,
        "all",
        "the supervisor's endpoint, for reports",
        "W",
        "report of this process"
    ),
    slot!(process::OWN_TCB, "all", "its own thread, to set its own priority", "all", ""),
    slot!(
        process::OWN_CNODE,
        "all",
        "its own CNode, for copies, revocation and saved replies",
        "all",
        ""
    ),
    slot!(
        process::NOTIFICATION,
        "vmm",
        "for Solo5 guests, the notification that the timer signals",
        "R",
        ""
    ),
    slot!(
        process::NOTIFICATION,
        "console, timer",
        "the notification bound to its thread, for its interrupt",
        "W",
        "interrupt"
    ),
    slot!(
        process::FAULT_ENDPOINT,
        "all",
        "the supervisor's endpoint, where the kernel reports its faults",
        "WG",
        "fault of this process"
    ),
    slot!(vmm::SERVER, "vmm", "its guest's shadow-server", "WG", "the vmm"),
    slot!(vmm::CONSOLE, "vmm", "the console driver", "WG", "client, by process number"),
    slot!(vmm::TIMER, "vmm", "the timer driver", "WG", "client, by process number"),
    slot!(driver::PORTS_A, "console, timer", "I/O ports of COM1, of the PIT", "", ""),
    slot!(driver::PORTS_B, "console, timer", "I/O ports of COM2, of the RTC", "", ""),
    slot!(driver::IRQ, "console, timer", "the interrupt handler of COM1, of the PIT", "", ""),
    slot!(
        driver::CLIENTS,
        "console, timer",
        "the notification for process 0, process n has the slot n further on; that for the vmm of a pc64 guest is bound to the shadow-server",
        "W",
        "notification"
    ),
    slot!(
        vcpu::FAULT_ENDPOINT,
        "vCPU threads",
        "the shadow-server's endpoint: all that a guest has",
        "WG",
        "number of the vCPU"
    ),
];

/// Who uses a region, and how.
fn region_words(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "image" => (
            "all",
            "code and constants read-only, data read-write; seL4 on x86 has no pages that cannot be executed",
        ),
        "stack" => ("all", "read-write; grows down from the end, an unmapped page lies below it"),
        "IPC buffer" => ("all", "read-write"),
        "startup page" => ("all", "read-only; what the supervisor tells the process"),
        "counters" => ("all", "read-write; the supervisor reads them"),
        "vCPU state" => {
            ("shadow-server", "read-write; a page per vCPU, which outlives a restart of the server")
        }
        "bounce area" => ("shadow-server, vmm", "read-write; shared by the two for bulk data"),
        "trace" => (
            "shadow-server",
            "read-write; what became of the latest page faults, if a manifest asks for it",
        ),
        "rewritten instructions" => {
            ("shadow-server", "read-only; what stood where in the guest's image")
        }
        "metadata" => ("shadow-server", "read-write; the records of the shadow MMU"),
        "guest window" => {
            ("shadow-server", "read-write; guest-physical address 0 lies at its start")
        }
        _ => return None,
    })
}

/// What lies in a run of a shadow-server's slots.
fn run_words(name: &str) -> Option<&'static str> {
    Some(match name {
        "vCPU TCBs" => "threads of the vCPUs",
        "vCPU CNodes" => "their CNodes, to move a vCPU to another address space",
        "parked replies" => "reply capabilities of the vmm, saved until a vCPU exits",
        "address spaces" => "PML4 objects with an address space number, one per guest CR3 and view",
        "page-directory-pointer tables" | "page directories" | "page tables" => {
            "shadow tables, not mapped at first"
        }
        "original frames" => {
            "guest memory by frame number, mapped in the window; revoking one removes every copy"
        }
        "frame copies" => "the one copy that every frame has, for its mapping in a shadow table",
        "extra frame copies" => "empty at first; copies for frames that are mapped more than once",
        _ => return None,
    })
}

/// `docs/layout.md`.
///
/// # Panics
/// If a region or run has no words here; a test calls this.
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    slots(&mut text).expect("writing to a string");
    runs(&mut text).expect("writing to a string");
    regions(&mut text).expect("writing to a string");
    text
}

const HEAD: &str = "\
<!-- Generated from crates/system; `BLESS=1 cargo test -p system --features host` writes it anew. -->

# Capabilities and addresses

Which capability lies in which slot, and what lies where in memory. The root task builds from the same data
(`crates/system/src/cspace.rs`, `crates/system/src/address_map.rs`), and the processes use it.

Every process has one CNode whose guard fills the rest of the 64 bits, so that a slot's number is its address. Slots
that are not listed are empty. Rights: R receive, W send, G grant.
";

fn slots(text: &mut String) -> std::fmt::Result {
    text.push_str("\n## Slots of every process\n\n");
    text.push_str("| slot | constant | held by | object | rights | badge |\n| ---: | --- | --- | --- | --- | --- |\n");
    for Slot { name, number, holders, object, rights, badge } in &SLOTS {
        writeln!(text, "| {number} | `{name}` | {holders} | {object} | {rights} | {badge} |")?;
    }
    writeln!(
        text,
        "\nA vmm has 2^{} slots, a driver 2^{}, a vCPU thread 2^{}; the timer serves up to {} processes.",
        cspace::vmm::RADIX,
        cspace::driver::RADIX,
        cspace::vcpu::RADIX,
        cspace::driver::MAX_CLIENTS
    )
}

fn runs(text: &mut String) -> std::fmt::Result {
    let pools = Shadow::default().pools(DEFAULT_GUEST_MEMORY, 1);
    let slots = ServerSlots::new(&pools);
    writeln!(
        text,
        "\n## Slots of a shadow-server\n\n\
         Behind the slots of every process a shadow-server has runs whose lengths follow from its guest's memory and\n\
         `shadow` key. This is the layout of a guest with 32 MiB and default pools, in a CNode of 2^{} slots.\n\n\
         | first | last | run | what |\n| ---: | ---: | --- | --- |",
        slots.radix()
    )?;
    for (name, run) in slots.runs() {
        let words = run_words(name).unwrap_or_else(|| panic!("no words for the run {name}"));
        writeln!(text, "| {} | {} | {name} | {words} |", run.first, run.first + run.count - 1)?;
    }
    Ok(())
}

fn regions(text: &mut String) -> std::fmt::Result {
    text.push_str("\n## Addresses of every process\n\n");
    text.push_str("All processes share one map. What lies between the regions stays unmapped and guards them.\n\n");
    text.push_str(
        "| start | end | region | held by | access |\n| ---: | ---: | --- | --- | --- |\n",
    );
    for region in &REGIONS {
        let name = region.name;
        let (holders, access) =
            region_words(name).unwrap_or_else(|| panic!("no words for the region {name}"));
        writeln!(
            text,
            "| `{:#x}` | `{:#x}` | {name} | {holders} | {access} |",
            region.start, region.end
        )?;
    }
    writeln!(
        text,
        "\nThe end of a region is the most that it may take. A guest has at most {} vCPUs, and one transfer through the\n\
         bounce area moves at most {} bytes.",
        address_map::MAX_VCPUS,
        address_map::BOUNCE_BYTES
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new slot must get words here.
    #[test]
    fn every_slot_constant_is_listed() {
        let mut module = "";
        let mut constants = 0;
        for line in include_str!("cspace.rs").lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("pub mod ") {
                module = name.trim_end_matches(" {");
            }
            let Some(name) =
                line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": u64 ="))
            else {
                continue;
            };
            if name.0.starts_with("MAX_") {
                continue;
            }
            constants += 1;
            let path = format!("{module}::{}", name.0);
            assert!(SLOTS.iter().any(|slot| slot.name == path), "{path} is not in SLOTS");
        }
        assert!(constants >= 13, "the constants were found");
    }
}
