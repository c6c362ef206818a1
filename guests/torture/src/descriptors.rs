//! GDT with user segments, and the TSS whose stack traps from user mode use.
#![allow(unsafe_code)] // descriptor tables, and loading them

use core::cell::UnsafeCell;

use guest_runtime::descriptors::{self, TaskState, selector};
use guest_runtime::instruction::{load_gdt, load_task_register};

const STACK: usize = 16384;

#[repr(C, align(16))]
struct Segments {
    gdt: [u64; 7],
    task: TaskState,
    stack: [u8; STACK],
}

struct Cell(UnsafeCell<Segments>);

// SAFETY: written once, by `init`, before anything else uses it.
unsafe impl Sync for Cell {}

static SEGMENTS: Cell =
    Cell(UnsafeCell::new(Segments { gdt: [0; 7], task: TaskState::EMPTY, stack: [0; STACK] }));

/// Fills and loads GDT and TSS. To be called once.
pub fn init() {
    let segments = SEGMENTS.0.get();
    // SAFETY: in range of the static; only addresses are taken.
    let (gdt, task, stack) = unsafe {
        (&raw mut (*segments).gdt, &raw mut (*segments).task, &raw const (*segments).stack)
    };
    // SAFETY: the only writer, once; the stack is nobody else's. The new
    // descriptors at 8 and 0x10 are those of the boot GDT, so the segment registers
    // stay valid.
    unsafe {
        task.write(TaskState::EMPTY.with_stack(stack as u64 + STACK as u64));
        gdt.write(descriptors::gdt(task as u64));
        load_gdt(gdt);
        load_task_register(selector::TASK);
    }
}
