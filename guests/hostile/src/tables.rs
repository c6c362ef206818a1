//! GDT, TSS and IDT: all gates may be called by user code.
#![allow(unsafe_code)] // descriptor tables, and loading them

use core::cell::UnsafeCell;

use guest_excursion::stub;
use guest_runtime::descriptors::{Gate, TaskState, segment, selector};
use guest_runtime::instruction::{load_gdt, load_idt, load_task_register};

const VECTORS: usize = 256;
const STACK: usize = 4096;
const DESCRIPTORS: usize = 9;

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; DESCRIPTORS],
    task: TaskState,
    idt: [Gate; VECTORS],
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
        segment::KERNEL_CODE,
        segment::KERNEL_DATA,
        segment::USER_DATA,
        segment::USER_CODE,
        0, // TSS
        0,
        segment::CONFORMING,
        0x00cf_fb00_0000_ffff, // 32-bit code, DPL 3
    ],
    task: TaskState::EMPTY,
    idt: [Gate::ABSENT; VECTORS],
    stack: [0; STACK],
    exceptions: [0; STACK],
}));

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
    let state = TaskState::EMPTY
        .with_stack(stack as u64 + STACK as u64)
        .with_own_stack(exceptions as u64 + STACK as u64)
        .without_ports();
    let [low, high] = TaskState::descriptor(task as u64);
    // SAFETY: the only writer; the descriptors of the segments in use are those
    // of the boot GDT, and the gates lead to stubs.
    unsafe {
        task.write(state);
        (*tables).idt = core::array::from_fn(gate);
        (*tables).gdt[5] = low;
        (*tables).gdt[6] = high;
    }
    // SAFETY: the tables are complete and stay; the TSS is available, and its
    // stacks are nobody else's.
    unsafe {
        load_gdt(gdt);
        load_idt(idt);
        load_task_register(selector::TASK);
    }
}

/// User code may call it; exceptions have a stack of their own.
fn gate(vector: usize) -> Gate {
    let gate = Gate::new(stub(vector)).for_users();
    if vector < 32 { gate.on_own_stack() } else { gate }
}
