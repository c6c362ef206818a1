//! `boot_params`, the "zero page" of the Linux boot protocol
//! (`Documentation/arch/x86/zero-page.rst`, `boot.rst`), with memory map and
//! command line.

use x86::Gpa;

use super::{acpi, secondary};
use crate::{GuestPages, MIB, Problem};

/// Where it lies; the guest gets this address in RSI.
pub const ADDRESS: u64 = 0x7000;
const COMMAND_LINE: u64 = 0x2_0000;
/// Firecracker's `CMDLINE_MAX_SIZE`, the closing NUL included.
const COMMAND_LINE_SIZE: u64 = 2048;

// Offsets of fields.
const ACPI_RSDP_ADDR: u64 = 0x70;
const E820_ENTRIES: u64 = 0x1e8;
const BOOT_FLAG: u64 = 0x1fe;
const HEADER: u64 = 0x202;
const VERSION: u64 = 0x206;
const TYPE_OF_LOADER: u64 = 0x210;
const CMD_LINE_PTR: u64 = 0x228;
const KERNEL_ALIGNMENT: u64 = 0x230;
const CMDLINE_SIZE: u64 = 0x238;
const E820_TABLE: u64 = 0x2d0;
const E820_ENTRY_SIZE: u64 = 20;

/// End of conventional memory, where a PC's extended BIOS data begins.
const LOW_END: u64 = 0x9_fc00;
/// At the top of RAM, where a PC's firmware keeps the ACPI tables.
const FIRMWARE_TABLES: u64 = MIB / 8;

const USABLE: u32 = 1;
const RESERVED: u32 = 2;
/// Firmware's memory that stays as it is: ACPI NVS.
const NON_VOLATILE: u32 = 4;

/// End of the RAM that the memory map calls usable.
pub fn usable_end(memory: u64) -> u64 {
    memory.saturating_sub(FIRMWARE_TABLES)
}

/// The map that SeaBIOS reports under QEMU 7.2 (`-machine pc`) for a PC of
/// this size, up to 2 GiB: start, end, type. Where other processors wait is
/// marked as ACPI wants it.
fn memory_map(memory: u64, vcpus: u32) -> Vec<(u64, u64, u32)> {
    let tables_end = match vcpus {
        1 => memory,
        _ => secondary::start(memory),
    };
    let mut map = vec![
        (0, LOW_END, USABLE),
        (LOW_END, 0xa_0000, RESERVED),
        (0xf_0000, MIB, RESERVED),
        (MIB, usable_end(memory), USABLE),
        (usable_end(memory), tables_end, RESERVED),
        (tables_end, memory, NON_VOLATILE),
        (0xfffc_0000, 1 << 32, RESERVED),
        (0xfd_0000_0000, 0x100_0000_0000, RESERVED),
    ];
    map.retain(|(start, end, _)| start < end);
    map
}

/// Writes `boot_params` for a machine with `vcpus` processors, and the command line.
///
/// # Errors
/// [`Problem::ArgumentsTooLong`] or [`Problem::ArgumentNul`].
pub fn write(pages: &mut GuestPages, arguments: &[String], vcpus: u32) -> Result<(), Problem> {
    let command_line = crate::detect::join_arguments(arguments, COMMAND_LINE_SIZE - 1)?;
    pages.write(Gpa::new(COMMAND_LINE), command_line.as_bytes())?;

    let mut field = |offset: u64, bytes: &[u8]| pages.write(Gpa::new(ADDRESS + offset), bytes);
    field(BOOT_FLAG, &0xaa55_u16.to_le_bytes())?;
    field(HEADER, b"HdrS")?;
    field(VERSION, &0x020c_u16.to_le_bytes())?; // the first with a 64-bit entry
    field(TYPE_OF_LOADER, &[0xff])?; // undefined
    field(CMD_LINE_PTR, &(COMMAND_LINE as u32).to_le_bytes())?;
    field(CMDLINE_SIZE, &(command_line.len() as u32).to_le_bytes())?;
    field(KERNEL_ALIGNMENT, &0x0100_0000_u32.to_le_bytes())?;

    pages.write_u64(Gpa::new(ADDRESS + ACPI_RSDP_ADDR), acpi::ROOT_POINTER)?;

    let map = memory_map(pages.size(), vcpus);
    pages.write(Gpa::new(ADDRESS + E820_ENTRIES), &[map.len() as u8])?;
    for (number, (start, end, kind)) in (0..).zip(map) {
        let entry = ADDRESS + E820_TABLE + number * E820_ENTRY_SIZE;
        pages.write_u64(Gpa::new(entry), start)?;
        pages.write_u64(Gpa::new(entry + 8), end - start)?;
        pages.write(Gpa::new(entry + 16), &kind.to_le_bytes())?;
    }
    Ok(())
}
