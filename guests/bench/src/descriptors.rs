//! GDT with user segments, TSS and IDT.
#![allow(unsafe_code)] // descriptor tables, and loading them

use core::arch::asm;
use core::cell::UnsafeCell;

use guest_runtime::descriptors::{self, Gate, TaskState, selector};
use guest_runtime::instruction::{load_gdt, load_idt, load_task_register};

use crate::traps;

const VECTORS: usize = 256;
const STACK: usize = 4096;

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; 7],
    task: TaskState,
    idt: [Gate; VECTORS],
    /// Stack for traps from user mode.
    stack: [u8; STACK],
}

struct Cell(UnsafeCell<Tables>);

// SAFETY: written once, by `init`, before anything else uses it.
unsafe impl Sync for Cell {}

static TABLES: Cell = Cell(UnsafeCell::new(Tables {
    gdt: [0; 7],
    task: TaskState::EMPTY,
    idt: [Gate::ABSENT; VECTORS],
    stack: [0; STACK],
}));

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
    // SAFETY: the only writer, once; the stack is nobody else's. The new
    // descriptors at 8 and 0x10 are those of the boot GDT, so the segment registers
    // stay valid; the gates lead to handlers of `traps`.
    unsafe {
        task.write(TaskState::EMPTY.with_stack(stack as u64 + STACK as u64));
        gdt.write(descriptors::gdt(task as u64));
        idt.write(core::array::from_fn(traps::gate));
        load_gdt(gdt);
        load_idt(idt);
        load_task_register(selector::TASK);
        asm!(
            "mov ss, {:e}",
            in(reg) u32::from(selector::KERNEL_DATA),
            options(nostack, preserves_flags),
        );
    }
}
