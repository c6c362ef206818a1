//! The boot GDT and page tables (`tenders/hvt/hvt_cpu_x86_64.c`).
//!
//! ```text
//!            ABI 1            ABI 2
//! 0x1000     GDT              GDT
//! 0x2000     level 4          level 4
//! 0x3000     level 3          level 3
//! 0x4000     level 2          level 2 of the first to fourth GiB, to 0x7fff
//! 0x5000     level 1, 0-2 MiB
//! 0x8000                      level 1, 0-2 MiB
//! ```
//!
//! Nothing below 0x10000 is mapped, so the guest reaches none of this.

use x86::{Gpa, Gpte, PAGE_SIZE};

use super::{AbiVersion, MINIMUM_BASE, boot_info};
use crate::{GuestPages, MEMORY_UNIT, Problem};

/// Address of the GDT.
pub const GDT: u64 = 0x1000;
/// Offset of its last byte: null, code, data.
pub const GDT_LIMIT: u32 = 3 * 8 - 1;
/// Selector of the 64-bit code segment.
pub const CODE_SELECTOR: u32 = 8;
/// Selector of the data segment.
pub const DATA_SELECTOR: u32 = 0x10;
/// Address of the level-4 table.
pub const LEVEL_4: u64 = 0x2000;

/// Flat 64-bit code, DPL 0, accessed (SDM vol. 3A, §3.4.5).
const CODE_DESCRIPTOR: u64 = 0x00af_9900_0000_ffff;
/// Flat data, DPL 0, accessed.
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;

const LEVEL_3: u64 = 0x3000;
const LEVEL_2: u64 = 0x4000;
const GIB: u64 = 1 << 30;
const ENTRIES: u64 = 512;

const TABLE: Gpte = Gpte::PRESENT.union(Gpte::WRITABLE);

/// Writes GDT and page tables for all of `pages`.
///
/// # Errors
/// [`Problem::OutsideMemory`], which a memory of at least 2 MiB excludes.
pub fn build(pages: &mut GuestPages, version: AbiVersion) -> Result<(), Problem> {
    pages.write_u64(Gpa::new(GDT + 8), CODE_DESCRIPTOR)?;
    pages.write_u64(Gpa::new(GDT + 16), DATA_DESCRIPTOR)?;

    let level_1 = match version {
        AbiVersion::V1 => 0x5000,
        AbiVersion::V2 => 0x8000,
    };
    let memory = pages.size();
    entry(pages, LEVEL_4, 0, LEVEL_3, TABLE)?;
    for gib in 0..memory.div_ceil(GIB) {
        entry(pages, LEVEL_3, gib, LEVEL_2 + gib * PAGE_SIZE, TABLE)?;
    }
    entry(pages, LEVEL_2, 0, level_1, TABLE)?;
    for number in boot_info::BASE / PAGE_SIZE..ENTRIES {
        let address = number * PAGE_SIZE;
        let rights = if address < MINIMUM_BASE { Gpte::PRESENT } else { TABLE };
        entry(pages, level_1, number, address, rights)?;
    }
    for number in 1..memory / MEMORY_UNIT {
        entry(pages, LEVEL_2, number, number * MEMORY_UNIT, TABLE | Gpte::PAGE_SIZE)?;
    }
    Ok(())
}

fn entry(
    pages: &mut GuestPages,
    table: u64,
    index: u64,
    address: u64,
    rights: Gpte,
) -> Result<(), Problem> {
    pages.write_u64(Gpa::new(table + index * 8), address | rights.bits())
}
