//! The boot GDT, and page tables that map RAM one to one.

use x86::{Gpa, Gpte, PAGE_SIZE};

use crate::{GuestPages, MEMORY_UNIT, Problem};

/// Address of the first processor's GDT.
pub const GDT: u64 = 0x500;
/// Offset of its last byte: null, code, data, TSS of 16 bytes.
pub const GDT_LIMIT: u32 = 5 * 8 - 1;
/// Selector of the 64-bit code segment.
pub const CODE_SELECTOR: u32 = 8;
/// Selector of the data segment.
pub const DATA_SELECTOR: u32 = 0x10;
/// Selector of the task-state segment.
pub const TASK_SELECTOR: u32 = 0x18;
/// Address of the first processor's level-4 table.
pub const LEVEL_4: u64 = 0x9000;

/// Flat 64-bit code, DPL 0, accessed (SDM vol. 3A, §3.4.5).
const CODE_DESCRIPTOR: u64 = 0x00af_9b00_0000_ffff;
/// Flat data, DPL 0, accessed.
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;
/// Busy 64-bit TSS at 0 (SDM vol. 3A, §8.2.3); its upper half is zero.
const TASK_DESCRIPTOR: u64 = 0x008f_8b00_0000_ffff;

const ENTRIES: u64 = 512;
const TABLE: Gpte = Gpte::PRESENT.union(Gpte::WRITABLE);

/// Writes the GDT at `gdt`, and tables that map all of `pages` with 2 MiB pages:
/// the level-4 table at `level_4`, then level 3, then those of level 2.
///
/// # Errors
/// [`Problem::OutsideMemory`], which a memory of at least 2 MiB excludes.
pub fn build(pages: &mut GuestPages, gdt: u64, level_4: u64) -> Result<(), Problem> {
    let descriptors = [CODE_DESCRIPTOR, DATA_DESCRIPTOR, TASK_DESCRIPTOR];
    for (number, descriptor) in (1..).zip(descriptors) {
        pages.write_u64(Gpa::new(gdt + number * 8), descriptor)?;
    }
    let (level_3, level_2) = (level_4 + PAGE_SIZE, level_4 + 2 * PAGE_SIZE);
    pages.write_u64(Gpa::new(level_4), level_3 | TABLE.bits())?;
    let page = TABLE | Gpte::PAGE_SIZE;
    for number in 0..pages.size() / MEMORY_UNIT {
        let (gib, index) = (number / ENTRIES, number % ENTRIES);
        let table = level_2 + gib * PAGE_SIZE;
        if index == 0 {
            pages.write_u64(Gpa::new(level_3 + gib * 8), table | TABLE.bits())?;
        }
        pages.write_u64(Gpa::new(table + index * 8), (number * MEMORY_UNIT) | page.bits())?;
    }
    Ok(())
}
