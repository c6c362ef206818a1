//! GDT with user segments, and the TSS whose stack traps from user mode use.
#![allow(unsafe_code)] // descriptor tables, and the instructions that load them

use core::arch::asm;
use core::cell::UnsafeCell;

/// Selector of the kernel's code segment, the same as in the boot GDT.
pub const KERNEL_CODE: u64 = 8;
/// Selector of the kernel's data segment, the same as in the boot GDT.
pub const KERNEL_DATA: u64 = 0x10;
/// Selector of the user data segment.
pub const USER_DATA: u64 = 0x18 | 3;
/// Selector of the user code segment.
pub const USER_CODE: u64 = 0x20 | 3;
const TASK: u16 = 0x28;

/// Words of the task-state segment; RSP0 lies over two of them.
const TASK_WORDS: usize = 26;
/// Index of RSP0's low half (SDM vol. 3A, figure 8-11).
const RSP0: usize = 1;
const STACK: usize = 16384;

#[repr(C, align(16))]
struct Segments {
    gdt: [u64; 7],
    task: [u32; TASK_WORDS],
    stack: [u8; STACK],
}

struct Cell(UnsafeCell<Segments>);

// SAFETY: written once, by `init`, before anything else uses it.
unsafe impl Sync for Cell {}

static SEGMENTS: Cell =
    Cell(UnsafeCell::new(Segments { gdt: [0; 7], task: [0; TASK_WORDS], stack: [0; STACK] }));

#[repr(C, packed)]
struct TableRegister {
    limit: u16,
    base: u64,
}

/// Fills and loads GDT and TSS. To be called once.
pub fn init() {
    let segments = SEGMENTS.0.get();
    // SAFETY: in range of the static; only addresses are taken.
    let (gdt, task, stack) = unsafe {
        (&raw mut (*segments).gdt, &raw mut (*segments).task, &raw const (*segments).stack)
    };
    let mut task_state = [0; TASK_WORDS];
    task_state[RSP0] = (stack as u64 + STACK as u64) as u32; // the image lies below 4 GiB
    let register = TableRegister { limit: (size_of::<[u64; 7]>() - 1) as u16, base: gdt as u64 };
    // SAFETY: the only writer, once. The new descriptors at 8 and 0x10 are
    // those of the boot GDT, so the segment registers stay valid.
    unsafe {
        task.write(task_state);
        gdt.write(descriptors(task as u64));
        asm!(
            "lgdt [{gdt}]", "ltr {task:x}",
            gdt = in(reg) &raw const register,
            task = in(reg) TASK,
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
