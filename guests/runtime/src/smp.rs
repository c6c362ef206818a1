//! Starting processors by the ACPI mailbox (ACPI 6.4, §5.2.12.19).
//!
//! A processor begins on page tables and a GDT of the firmware's. It takes the
//! guest's GDT, a stack of its own, the page tables of the processor that starts
//! it, and the guest's IDT, and goes to the function that it was started with.
#![allow(unsafe_code)] // entry code, stacks, and the mailbox in physical memory

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use crate::instruction::{pause, read_cr3};
use crate::{BootInfo, PROCESSORS_MAX, Processors, exception};

/// What a processor executes; it gets its number.
pub type Main = fn(usize) -> !;

const STACK: usize = 32 << 10;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; STACK]; PROCESSORS_MAX]>);

// SAFETY: each processor uses its own; nobody refers to them by this name.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK]; PROCESSORS_MAX]));

/// What the processor that is being started takes: one at a time.
static TOP: AtomicU64 = AtomicU64::new(0);
static ROOT: AtomicU64 = AtomicU64::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);
static MAIN: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// It has taken all of that.
static ARRIVED: AtomicBool = AtomicBool::new(false);

global_asm!(
    r#"
    .section .text, "ax"
    .global guest_secondary
guest_secondary:
    cli
    cld
    mov rsp, [rip + {top}]
    mov rax, [rip + {root}]
    mov cr3, rax
    lgdt [rip + guest_gdtr]
    mov eax, 0x10
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    push 8
    lea rax, [rip + 2f]
    push rax
    retfq
2:  xor ebp, ebp
    call {arrive}
    ud2
"#,
    top = sym TOP,
    root = sym ROOT,
    arrive = sym arrive,
);

// SAFETY: a label of the assembly above. Only its address is taken, so that its
// type does not matter.
unsafe extern "C" {
    /// Where a started processor begins.
    static guest_secondary: u8;
}

extern "C" fn arrive() -> ! {
    exception::load();
    let number = NUMBER.load(Ordering::Relaxed) as usize;
    // SAFETY: only `start` stores here, and only a `Main`.
    let main = unsafe { mem::transmute::<*mut (), Main>(MAIN.load(Ordering::Relaxed)) };
    ARRIVED.store(true, Ordering::Release);
    main(number)
}

/// The processors of this machine; `None` if ACPI does not tell.
pub fn processors(boot: &BootInfo) -> Option<Processors> {
    // SAFETY: physical memory is mapped one to one, and no Rust object lies
    // where the firmware keeps its tables.
    let byte = |address: u64| unsafe { (address as *const u8).read_volatile() };
    Processors::from_acpi(boot.root_pointer(), byte)
}

/// The mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox(u64);

impl Mailbox {
    /// The one of `processors`, if there is one.
    pub fn of(processors: &Processors) -> Option<Self> {
        (processors.mailbox() != 0).then_some(Self(processors.mailbox()))
    }

    /// Writes the address, the APIC ID, and then the command.
    pub fn post(self, command: u16, id: u32, address: u64) {
        // SAFETY: firmware's memory, mapped one to one; no Rust object is there.
        unsafe {
            ((self.0 + 8) as *mut u64).write_volatile(address);
            ((self.0 + 4) as *mut u32).write_volatile(id);
            (self.0 as *mut u16).write_volatile(command);
        }
    }

    /// The command, which the processor clears that it is for.
    pub fn command(self) -> u16 {
        // SAFETY: as in `post`.
        unsafe { (self.0 as *const u16).read_volatile() }
    }

    /// Starts the processor with this APIC ID as number `number` in `main`, and
    /// waits until it is there.
    pub fn start(self, id: u32, number: usize, main: Main) {
        let stacks = STACKS.0.get() as u64;
        let end = number % PROCESSORS_MAX + 1;
        TOP.store(stacks + (STACK * end) as u64, Ordering::Relaxed);
        ROOT.store(read_cr3(), Ordering::Relaxed);
        NUMBER.store(number as u64, Ordering::Relaxed);
        MAIN.store(main as *mut (), Ordering::Relaxed);
        ARRIVED.store(false, Ordering::Release);
        self.post(1, id, &raw const guest_secondary as u64);
        while self.command() != 0 || !ARRIVED.load(Ordering::Acquire) {
            pause();
        }
    }
}

/// The number of the processor that executes this, by its stack.
pub fn number() -> usize {
    let here = 0_u8;
    let offset = (&raw const here as u64).wrapping_sub(STACKS.0.get() as u64);
    match offset as usize / STACK {
        number if number < PROCESSORS_MAX => number,
        _ => 0,
    }
}
