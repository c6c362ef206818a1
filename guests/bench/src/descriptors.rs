//! GDT with user segments, TSS and IDT.
#![allow(unsafe_code)] // descriptor tables, and the instructions that load them

use core::arch::asm;
use core::cell::UnsafeCell;

use crate::traps;

/// Selector of the kernel's code segment, the same as in the boot GDT.
const KERNEL_CODE: u16 = 8;
/// Selector of the kernel's data segment, the same as in the boot GDT.
const KERNEL_DATA: u16 = 0x10;
/// Selector of the user data segment.
pub const USER_DATA: u16 = 0x18 | 3;
/// Selector of the user code segment.
pub const USER_CODE: u16 = 0x20 | 3;
const TASK: u16 = 0x28;

/// Words of the task-state segment; RSP0 lies over two of them.
const TASK_WORDS: usize = 26;
/// Index of RSP0's low half (SDM vol. 3A, figure 8-11).
const RSP0: usize = 1;
const VECTORS: usize = 256;
const STACK: usize = 4096;

/// A 64-bit interrupt gate (SDM vol. 3A, §6.14.1).
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate([u64; 2]);

impl Gate {
    const ABSENT: Self = Self([0; 2]);

    fn new(handler: u64, privilege: u64) -> Self {
        const INTERRUPT_GATE: u64 = 0xe << 40;
        const PRESENT: u64 = 1 << 47;
        Self([
            (handler & 0xffff)
                | u64::from(KERNEL_CODE) << 16
                | INTERRUPT_GATE
                | privilege << 45
                | PRESENT
                | (handler >> 16 & 0xffff) << 48,
            handler >> 32,
        ])
    }
}

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; 7],
    task: [u32; TASK_WORDS],
    idt: [Gate; VECTORS],
    /// Stack for traps from user mode.
    stack: [u8; STACK],
}

struct Cell(UnsafeCell<Tables>);

// SAFETY: written once, by `init`, before anything else uses it.
unsafe impl Sync for Cell {}

static TABLES: Cell = Cell(UnsafeCell::new(Tables {
    gdt: [0; 7],
    task: [0; TASK_WORDS],
    idt: [Gate::ABSENT; VECTORS],
    stack: [0; STACK],
}));

#[repr(C, packed)]
struct TableRegister {
    limit: u16,
    base: u64,
}

impl TableRegister {
    fn of<T>(table: *const T) -> Self {
        Self { limit: (size_of::<T>() - 1) as u16, base: table as u64 }
    }
}

/// Fills and loads the tables. To be called once.
pub fn init() {
    let tables = TABLES.0.get();
    // SAFETY: in range of the static; only addresses are taken.
    let (gdt, task, idt, stack) = unsafe {
        (
            &raw mut (*tables).gdt,
            &raw mut (*tables).task,
            &raw mut (*tables).idt,
            &raw const (*tables).stack,
        )
    };
    let mut task_state = [0; TASK_WORDS];
    task_state[RSP0] = (stack as u64 + STACK as u64) as u32; // the image lies below 4 GiB
    let (gdt_register, idt_register) = (TableRegister::of(gdt), TableRegister::of(idt));
    // SAFETY: the only writer, once. The new descriptors at 8 and 0x10 are
    // those of the boot GDT, so the segment registers stay valid; the gates
    // lead to handlers of `traps`.
    unsafe {
        task.write(task_state);
        gdt.write(descriptors(task as u64));
        idt.write(gates());
        asm!(
            "lgdt [{gdt}]", "lidt [{idt}]", "ltr {task:x}",
            "mov ss, {data:e}",
            gdt = in(reg) &raw const gdt_register,
            idt = in(reg) &raw const idt_register,
            task = in(reg) TASK,
            data = in(reg) u32::from(KERNEL_DATA),
            options(nostack, preserves_flags),
        );
    }
}

fn descriptors(task: u64) -> [u64; 7] {
    const LIMIT: u64 = 4 * TASK_WORDS as u64 - 1;
    const AVAILABLE_TASK: u64 = 0x89 << 40;
    let base = (task & 0x00ff_ffff) << 16 | (task >> 24 & 0xff) << 56;
    [
        0,
        0x00af_9b00_0000_ffff, // 64-bit code, DPL 0
        0x00cf_9300_0000_ffff, // data, DPL 0
        0x00cf_f300_0000_ffff, // data, DPL 3
        0x00af_fb00_0000_ffff, // 64-bit code, DPL 3
        LIMIT | base | AVAILABLE_TASK,
        task >> 32,
    ]
}

fn gates() -> [Gate; VECTORS] {
    core::array::from_fn(|vector| match traps::handler(vector) {
        Some((address, privilege)) => Gate::new(address, privilege),
        None => Gate::ABSENT,
    })
}
