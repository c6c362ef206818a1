//! GDT, TSS and IDT: all gates may be called by user code.
#![allow(unsafe_code)] // descriptor tables, and the instructions that load them

use core::arch::asm;
use core::cell::UnsafeCell;

use guest_excursion::stub;

/// Kernel code and data, as in the boot GDT.
pub const KERNEL_CODE: u16 = 0x08;
pub const KERNEL_DATA: u16 = 0x10;
/// User data and code, in the order of SYSRET.
pub const USER_DATA: u16 = 0x1b;
pub const USER_CODE: u16 = 0x23;
const TASK: u16 = 0x28;

const VECTORS: usize = 256;
const STACK: usize = 4096;
/// Words of the task-state segment; RSP0 and IST1 lie over two of them each.
const TASK_WORDS: usize = 26;
const RSP0: usize = 1;
const IST1: usize = 9;
/// Its upper half says where the I/O map begins: behind the segment, so that
/// user code has no port.
const IO_MAP: usize = 25;
const DESCRIPTORS: usize = 9;

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; DESCRIPTORS],
    task: [u32; TASK_WORDS],
    idt: [[u64; 2]; VECTORS],
    /// Stack for traps from user mode.
    stack: [u8; STACK],
    /// Stack for exceptions, at any level.
    exceptions: [u8; STACK],
}

struct Cell(UnsafeCell<Tables>);

// SAFETY: written by `init` only, and by the CPU.
unsafe impl Sync for Cell {}

static TABLES: Cell = Cell(UnsafeCell::new(Tables {
    gdt: [
        0,
        0x00af_9b00_0000_ffff, // 64-bit code, DPL 0
        0x00cf_9300_0000_ffff, // data, DPL 0
        0x00cf_f300_0000_ffff, // data, DPL 3
        0x00af_fb00_0000_ffff, // 64-bit code, DPL 3
        0,                     // TSS
        0,
        0x00af_9f00_0000_ffff, // conforming 64-bit code, DPL 0
        0x00cf_fb00_0000_ffff, // 32-bit code, DPL 3
    ],
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
    let (gdt, idt, task, stack, exceptions) = unsafe {
        (
            &raw const (*tables).gdt,
            &raw const (*tables).idt,
            &raw mut (*tables).task,
            &raw const (*tables).stack,
            &raw const (*tables).exceptions,
        )
    };
    let mut state = [0; TASK_WORDS];
    state[RSP0] = stack as u32 + STACK as u32; // the image lies below 4 GiB
    state[IST1] = exceptions as u32 + STACK as u32;
    state[IO_MAP] = (4 * TASK_WORDS as u32) << 16;
    let [low, high] = task_descriptor(task as u64);
    // SAFETY: the only writer; the descriptors of the segments in use are those
    // of the boot GDT, and the gates lead to stubs.
    unsafe {
        task.write(state);
        (*tables).idt = core::array::from_fn(gate);
        (*tables).gdt[5] = low;
        (*tables).gdt[6] = high;
    }
    let gdt = register(gdt);
    let idt = register(idt);
    // SAFETY: the tables are complete and stay; the TSS is available.
    unsafe {
        asm!("lgdt [{}]", "lidt [{}]", "ltr {:x}",
            in(reg) &raw const gdt, in(reg) &raw const idt, in(reg) TASK,
            options(nostack, preserves_flags));
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

/// An interrupt gate of DPL 3; exceptions have a stack of their own.
fn gate(vector: usize) -> [u64; 2] {
    const GATE: u64 = 0xee << 40;
    let handler = stub(vector);
    let ist = u64::from(vector < 32) << 32;
    let selector = u64::from(KERNEL_CODE) << 16;
    let low = handler & 0xffff | selector | (handler >> 16 & 0xffff) << 48;
    [low | ist | GATE, handler >> 32]
}
