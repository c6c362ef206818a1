//! GDT, TSS and an IDT with a gate of some kind for every vector.
#![allow(unsafe_code)] // descriptor tables, and loading them

use core::arch::asm;
use core::cell::UnsafeCell;

use guest_excursion::stub;
use guest_runtime::descriptors::{Gate, TaskState, segment, selector};
use guest_runtime::instruction::{load_gdt, load_idt, load_task_register};

const VECTORS: usize = 256;
const STACK: usize = 4096;
/// Entries of the GDT.
pub const DESCRIPTORS: usize = 13;
/// Index of the descriptor that loads mark as accessed.
const UNMARKED: usize = 10;

/// The descriptors; those of the TSS are put in by `init`. QEMU 7.2 does not mark
/// code as accessed in far transfers, so all code is.
const GDT: [u64; DESCRIPTORS] = [
    0,
    segment::KERNEL_CODE,
    segment::KERNEL_DATA,
    segment::USER_DATA,
    segment::USER_CODE,
    0,
    0,
    0,
    0,
    segment::CONFORMING,
    0x00cf_f000_0000_ffff, // read-only data, DPL 3, not accessed
    0x00cf_9b00_0000_ffff, // 32-bit code, DPL 0
    0x00cf_1300_0000_ffff, // data, DPL 0, not present
];

#[repr(C, align(16))]
struct Tables {
    gdt: [u64; DESCRIPTORS],
    task: TaskState,
    idt: [Gate; VECTORS],
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
    task: TaskState::EMPTY,
    idt: [Gate::ABSENT; VECTORS],
    stack: [0; STACK],
    exceptions: [0; STACK],
}));

/// Fills and loads the tables. To be called once.
pub fn init() {
    let tables = TABLES.0.get();
    // SAFETY: in range of the static; only addresses are taken.
    let (task, stack, exceptions) = unsafe {
        (&raw mut (*tables).task, &raw const (*tables).stack, &raw const (*tables).exceptions)
    };
    let state = TaskState::EMPTY
        .with_stack(stack as u64 + STACK as u64)
        .with_own_stack(exceptions as u64 + STACK as u64);
    // SAFETY: the only writer; the descriptors of the segments in use are those
    // of the boot GDT, and the gates lead to stubs.
    unsafe {
        task.write(state);
        (*tables).idt = core::array::from_fn(gate);
        let [low, high] = TaskState::descriptor(task as u64);
        (*tables).gdt[5] = low;
        (*tables).gdt[6] = high;
    }
    load();
    // SAFETY: the descriptor is that of an available TSS, whose stacks are nobody
    // else's.
    unsafe { load_task_register(selector::TASK) };
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
    // SAFETY: both tables are complete and stay; the selectors are valid in them.
    unsafe {
        load_gdt(gdt);
        load_idt(idt);
        asm!(
            "lldt {null:x}",
            "mov ss, {data:e}", "mov ds, {data:e}", "mov es, {data:e}",
            "mov fs, {data:e}", "mov gs, {data:e}",
            null = in(reg) 0_u16,
            data = in(reg) u32::from(selector::KERNEL_DATA),
            options(nostack, preserves_flags),
        );
    }
}

/// Exceptions have a stack of their own. Vectors from 0x80 up may be called by
/// user code, odd ones are trap gates; a few gates are not as they should be.
fn gate(vector: usize) -> Gate {
    let gate = Gate::new(stub(vector));
    let gate = match vector {
        0..32 => gate.on_own_stack(),
        32..0x80 => gate,
        _ if vector.is_multiple_of(2) => gate.for_users(),
        _ => gate.for_users().as_trap_gate(),
    };
    match vector {
        0x90 => gate.not_present(),
        0x91 => gate.with_selector(selector::KERNEL_DATA),
        0x92 => gate.with_selector(0),
        _ => gate,
    }
}
