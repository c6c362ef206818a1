//! Platform `pc64`: 64-bit kernels linked in the lower half of addresses.
//!
//! Job: do what Firecracker does for an ELF kernel under the 64-bit Linux boot
//! protocol (`Documentation/arch/x86/boot.rst`, "64-bit Boot Protocol"): place
//! the segments, a GDT, page tables that map RAM one to one, the command line
//! and `boot_params`, and enter `e_entry` in long mode with RSI pointing at
//! `boot_params`. Addresses below 1 MiB are Firecracker's.
//!
//! ```text
//! 0x00500  GDT                  0x09000  level 4
//! 0x07000  boot_params          0x0a000  level 3
//! 0x08ff0  stack, downwards     0x0b000  level 2, one page for each GiB of RAM
//!                               0x20000  command line
//!                               0xf5000  ACPI root pointer
//! ```
//!
//! With several vCPUs the last pages of RAM are firmware's ([`secondary`]).
//!
//! The memory map is the one that QEMU's firmware gives a PC of the same size,
//! so that a guest sees the same RAM bare and under Umbriel.

mod acpi;
mod boot_params;
mod secondary;
mod segments;
mod tables;

use x86::{Cr0, Cr4, Efer, Rflags};

use crate::elf::Elf;
use crate::{DEFAULT_MEMORY, GuestPages, MEMORY_UNIT, MIB, Options, PlacedGuest};
use crate::{Platform, Problem, VcpuStart};

/// Lowest address of an image.
pub const MINIMUM_BASE: u64 = MIB;
/// The least memory: 1 MiB of low memory and something above it.
const MINIMUM_MEMORY: u64 = MEMORY_UNIT;
/// The most memory: the PCI hole of the memory map begins above it.
const MAXIMUM_MEMORY: u64 = 2048 * MIB;
/// Free RAM that a kernel gets behind its image at least, by default.
const MINIMUM_FREE: u64 = MEMORY_UNIT;
/// Firecracker's `BOOT_STACK_POINTER`.
const STACK: u64 = 0x8ff0;

/// Memory for an image that names none. Never less than the image needs.
pub fn default_memory(elf: &Elf<'_>) -> u64 {
    let end = elf.loads().map(|load| load.physical_address.saturating_add(load.memory_size)).max();
    let needed = end.unwrap_or(0).saturating_add(MINIMUM_FREE);
    needed.checked_next_multiple_of(MEMORY_UNIT).unwrap_or(u64::MAX).max(DEFAULT_MEMORY)
}

/// Places the image `bytes`.
///
/// # Errors
/// The first rule broken.
pub fn place(bytes: &[u8], options: &Options) -> Result<PlacedGuest, Problem> {
    let elf = Elf::parse(bytes)?;
    if !options.devices.is_empty() {
        return Err(Problem::DevicesUnsupported);
    }
    let memory = options.memory_bytes.unwrap_or_else(|| default_memory(&elf));
    if !memory.is_multiple_of(MEMORY_UNIT) || !(MINIMUM_MEMORY..=MAXIMUM_MEMORY).contains(&memory) {
        return Err(Problem::MemorySize {
            memory,
            minimum: MINIMUM_MEMORY,
            maximum: MAXIMUM_MEMORY,
        });
    }
    let mut pages = GuestPages::new(memory);
    let end = segments::load(&elf, &mut pages, boot_params::usable_end(memory))?;
    tables::build(&mut pages, tables::GDT, tables::LEVEL_4)?;
    let vcpus = options.vcpus.max(1);
    acpi::write(&mut pages, vcpus)?;
    boot_params::write(&mut pages, &options.arguments, vcpus)?;
    let secondary = match vcpus {
        1 => None,
        _ => Some(secondary::write(&mut pages)?),
    };
    Ok(PlacedGuest {
        platform: Platform::Pc64,
        memory_bytes: memory,
        loads: pages.into_loads(),
        read_only: Vec::new(),
        patches: Vec::new(),
        rewrites: Vec::new(),
        start: start_state(elf.entry),
        secondary,
        notes: vec![format!("64-bit Linux boot protocol; image ends at {end:#x} of {memory:#x}.")],
    })
}

/// Firecracker's registers, and CR0.WP and NE, which the protocol leaves open
/// and which every kernel sets: without WP a guest starts in a paging mode
/// that it leaves at once.
fn start_state(entry: u64) -> VcpuStart {
    VcpuStart {
        rip: entry,
        rsp: STACK,
        rflags: Rflags::FIXED.bits(),
        rsi: boot_params::ADDRESS,
        cr0: (Cr0::PE | Cr0::ET | Cr0::NE | Cr0::WP | Cr0::PG).bits(),
        cr3: tables::LEVEL_4,
        cr4: Cr4::PAE.bits(),
        efer: (Efer::LME | Efer::LMA).bits(),
        gdt_base: tables::GDT,
        gdt_limit: tables::GDT_LIMIT,
        code_selector: tables::CODE_SELECTOR,
        data_selector: tables::DATA_SELECTOR,
        task_selector: tables::TASK_SELECTOR,
        ..VcpuStart::default()
    }
}
