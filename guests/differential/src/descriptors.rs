//! GDT, TSS and an IDT with a gate of some kind for every vector.
#![allow(unsafe_code)] // descriptor tables, and the instructions that load them

use core::arch::asm;
use core::cell::UnsafeCell;

use crate::layout::{KERNEL_CODE, KERNEL_DATA, TASK};
use guest_excursion as excursion;

const VECTORS: usize = 256;
const STACK: usize = 4096;
/// Words of the task-state segment; RSP0 and IST1 lie over two of them each.
const TASK_WORDS: usize = 26;
const RSP0: usize = 1;
const IST1: usize = 9;

/// Entries of the GDT.
pub const DESCRIPTORS: usize = 13;
/// Index of the descriptor that loads mark as accessed.
const UNMARKED: usize = 10;

/// The descriptors; those of the TSS are put in by `init`. QEMU 7.2 does not mark
/// code as accessed in far transfers, so all code is.
const GDT: [u64; DESCRIPTORS] = [
    0,
    0x00af_9b00_0000_ffff, // 64-bit code, DPL 0
    0x00cf_9300_0000_ffff, // data, DPL 0
    0x00cf_f300_0000_ffff, // data, DPL 3
    0x00af_fb00_0000_ffff, // 64-bit code, DPL 3
    0,
    0,
    0,
    0,
    0x00af_9f00_0000_ffff, // conforming 64-bit code, DPL 0
    0x00cf_f000_0000_ffff, // read-only data, DPL 3, not accessed
    0x00cf_9b00_0000_ffff, // 32-bit code, DPL 0
    0x00cf_1300_0000_ffff, // data, DPL 0, not present
];

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; DESCRIPTORS],
    task: [u32; TASK_WORDS],
    idt: [[u64; 2]; VECTORS],
    /// Stack for traps from user mode.
    stack: [u8; STACK],
    /// Stack for exceptions.
    exceptions: [u8; STACK],
}

struct Cell(UnsafeCell<Tables>);

// SAFETY: written by `init` and `reset` only, and by the CPU.
unsafe impl Sync for Cell {}

static TABLES: Cell = Cell(UnsafeCell::new(Tables {
    gdt: GDT,
    task: [0; TASK_WORDS],
    idt: [[0; 2]; VECTORS],
    stack: [0; STACK],
    exceptions: [0; STACK],
}));

#[repr(C, packed)]
struct TableRegister {
    limit: u16,
    base: u64,
}

/// Fills and loads the tables. To be called once.
pub fn init() {
    let tables = TABLES.0.get();
    // SAFETY: in range of the static; only addresses are taken.
    let (task, stack, exceptions) = unsafe {
        (&raw mut (*tables).task, &raw const (*tables).stack, &raw const (*tables).exceptions)
    };
    let mut state = [0; TASK_WORDS];
    state[RSP0] = stack as u32 + STACK as u32; // the image lies below 4 GiB
    state[IST1] = exceptions as u32 + STACK as u32;
    // SAFETY: the only writer; the descriptors of the segments in use are those
    // of the boot GDT, and the gates lead to stubs.
    unsafe {
        task.write(state);
        (*tables).idt = core::array::from_fn(gate);
        let [low, high] = task_descriptor(task as u64);
        (*tables).gdt[5] = low;
        (*tables).gdt[6] = high;
    }
    load();
    // SAFETY: the descriptor is that of an available TSS.
    unsafe { asm!("ltr {:x}", in(reg) TASK, options(nostack, preserves_flags)) };
}

/// Puts the accessed bit back. What sequences load into segment registers is
/// not put back: frames bring CS and SS, and the others mean nothing.
pub fn reset() {
    let tables = TABLES.0.get();
    // SAFETY: in range; no reference to the table lives.
    unsafe { (&raw mut (*tables).gdt[UNMARKED]).write_volatile(GDT[UNMARKED]) };
}

/// A descriptor as it is now.
pub fn descriptor(index: usize) -> u64 {
    let tables = TABLES.0.get();
    // SAFETY: as in `reset`; the index is checked.
    unsafe { (&raw const (*tables).gdt[index]).read_volatile() }
}

fn load() {
    let tables = TABLES.0.get();
    // SAFETY: in range of the static; only addresses are taken.
    let (gdt, idt) = unsafe { (&raw const (*tables).gdt, &raw const (*tables).idt) };
    let gdt = register(gdt);
    let idt = register(idt);
    // SAFETY: both tables are complete and stay; the selectors are valid in them.
    unsafe {
        asm!(
            "lgdt [{gdt}]", "lidt [{idt}]", "lldt {null:x}",
            "mov ss, {data:e}", "mov ds, {data:e}", "mov es, {data:e}",
            "mov fs, {data:e}", "mov gs, {data:e}",
            gdt = in(reg) &raw const gdt,
            idt = in(reg) &raw const idt,
            null = in(reg) 0_u16,
            data = in(reg) u32::from(KERNEL_DATA),
            options(nostack, preserves_flags),
        );
    }
}

fn register<T>(table: *const T) -> TableRegister {
    TableRegister { limit: (size_of::<T>() - 1) as u16, base: table as u64 }
}

fn task_descriptor(task: u64) -> [u64; 2] {
    const LIMIT: u64 = 4 * TASK_WORDS as u64 - 1;
    const AVAILABLE_TASK: u64 = 0x89 << 40;
    let base = (task & 0x00ff_ffff) << 16 | (task >> 24 & 0xff) << 56;
    [LIMIT | base | AVAILABLE_TASK, task >> 32]
}

/// Exceptions have a stack of their own. Vectors from 0x80 up may be called by
/// user code, odd ones are trap gates; a few gates are not as they should be.
fn gate(vector: usize) -> [u64; 2] {
    const PRESENT: u64 = 1 << 47;
    const USER: u64 = 3 << 45;
    let handler = excursion::stub(vector);
    let ist = u64::from(vector < 32) << 32;
    let user = if vector >= 0x80 { USER } else { 0 };
    let kind = (0xe | u64::from(vector >= 0x80 && vector % 2 == 1)) << 40;
    let (selector, present) = match vector {
        0x90 => (KERNEL_CODE, 0),
        0x91 => (KERNEL_DATA, PRESENT),
        0x92 => (0, PRESENT),
        _ => (KERNEL_CODE, PRESENT),
    };
    let low = handler & 0xffff | u64::from(selector) << 16 | (handler >> 16 & 0xffff) << 48;
    [low | ist | kind | user | present, handler >> 32]
}
