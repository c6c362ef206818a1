//! How processors but the first are started: the multiprocessor-wakeup mailbox
//! (ACPI 6.4, §5.2.12.19), with what the firmware has there for them.
//!
//! Each waits in the firmware's half of the mailbox page until the platform has
//! seen a command for it. Then it takes the address, acknowledges by clearing the
//! command, and jumps. It runs on page tables and a GDT that lie beside the
//! mailbox, since the first processor's are in memory that the guest may use.
//!
//! ```text
//! top of RAM - 0x5000  page tables, four pages
//!            - 0x1000  mailbox: command, APIC ID, address
//!            - 0x0800  where processors wait (firmware's half)
//!            - 0x0400  GDT
//! ```

use x86::{Gpa, PAGE_SIZE};

use super::{start_state, tables};
use crate::{GuestPages, Problem, VcpuStart};

/// Pages at the top of RAM that are the firmware's: four of page tables, one
/// with the mailbox.
const PAGES: u64 = 5;
/// Offset of the code in the mailbox page.
const CODE: u64 = 0x800;
/// Offset of the GDT.
const GDT: u64 = 0xc00;

/// What a waiting processor executes; RDI points at the mailbox.
const WAIT: [u8; 12] = [
    0xf4, // hlt: interrupts are off, so until the platform lets it go on
    0x48, 0x8b, 0x47, 0x08, // mov rax, [rdi + 8]
    0x66, 0xc7, 0x07, 0x00, 0x00, // mov word ptr [rdi], 0
    0xff, 0xe0, // jmp rax
];

/// Where the firmware's pages begin in `memory` bytes of RAM.
pub const fn start(memory: u64) -> u64 {
    memory.saturating_sub(PAGES * PAGE_SIZE)
}

/// Address of the mailbox in `memory` bytes of RAM.
pub const fn mailbox(memory: u64) -> u64 {
    memory.saturating_sub(PAGE_SIZE)
}

/// Writes the firmware's pages and gives the state in which processors wait.
///
/// # Errors
/// [`Problem::OutsideMemory`], which a memory of at least 2 MiB excludes.
pub fn write(pages: &mut GuestPages) -> Result<VcpuStart, Problem> {
    let level_4 = start(pages.size());
    let mailbox = mailbox(pages.size());
    tables::build(pages, mailbox + GDT, level_4)?;
    pages.write(Gpa::new(mailbox + CODE), &WAIT)?;
    Ok(VcpuStart {
        rsp: 0,
        rsi: 0,
        rdi: mailbox,
        cr3: level_4,
        gdt_base: mailbox + GDT,
        ..start_state(mailbox + CODE)
    })
}
