//! Exceptions, vectors 0 to 31, and the interrupt controllers' vectors 32 to 47,
//! through an IDT of the guest's own.
//!
//! Every gate is an interrupt gate without IST, so frames go onto the stack in
//! use. A handler may change the frame; returning goes on at the frame's RIP
//! by `iretq`, whose kernel selector traps under Umbriel.
#![allow(unsafe_code)] // assembly stubs, the IDT and the handler pointer

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::descriptors::Gate;
use crate::instruction::{load_idt, read_cr2};
use crate::{exit, println};

const VECTORS: usize = 48;
/// Status of a guest that took an exception nobody handled.
const UNHANDLED: u8 = 102;

/// Registers of the interrupted code, as the stubs lay them out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs)] // registers by their names
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// Vector of the exception or interrupt.
    pub vector: u64,
    /// Error code; 0 for exceptions without one.
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Handles an exception or interrupt. `false` means that it should not have happened.
pub type Handler = fn(&mut Frame) -> bool;

static HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sets the function that is called on every exception and interrupt from now on.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as *mut (), Ordering::Relaxed);
}

global_asm!(
    r#"
    .section .text, "ax"
    .macro exception_stub vector
    .align 16
    # Vectors 8, 10-14, 17, 21, 29 and 30 push an error code themselves.
    .if ((1 << \vector) & 0x60227d00) == 0
    push 0
    .endif
    push \vector
    jmp exception_common
    .endm

    .align 16
exception_stubs:
    .altmacro
    .set vector, 0
    .rept 48
    exception_stub %vector
    .set vector, vector + 1
    .endr
    .noaltmacro

exception_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    cld
    call {dispatch}
    mov rsp, rbp
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
"#,
    dispatch = sym dispatch,
);

// SAFETY: a label of the assembly above. Only its address is taken, so that its
// type does not matter.
unsafe extern "C" {
    /// Code of the first stub; each stub has 16 bytes.
    static exception_stubs: u8;
}

struct Idt(UnsafeCell<[Gate; VECTORS]>);

// SAFETY: written once, by `init`, before anything else runs.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new([Gate::ABSENT; VECTORS]));

/// Fills and loads the IDT. Called once, from the entry code.
pub(crate) fn init() {
    let stubs = &raw const exception_stubs as u64;
    let gates = core::array::from_fn(|vector| Gate::new(stubs + 16 * vector as u64));
    // SAFETY: the only writer, before interrupts or exceptions are expected.
    unsafe { IDT.0.get().write(gates) };
    load();
}

/// Loads the IDT, on the first and on every other processor.
pub(crate) fn load() {
    // SAFETY: the table lives for ever and its gates point at the stubs above.
    unsafe { load_idt(IDT.0.get()) };
}

extern "C" fn dispatch(frame: &mut Frame) {
    let handler = HANDLER.load(Ordering::Relaxed);
    let handled = !handler.is_null() && {
        // SAFETY: only `set_handler` stores here, and only a `Handler`.
        let handler = unsafe { mem::transmute::<*mut (), Handler>(handler) };
        handler(frame)
    };
    if !handled {
        println!(
            "unexpected exception {} at {:#x}, error code {:#x}, cr2 {:#x}",
            frame.vector,
            frame.rip,
            frame.error_code,
            read_cr2()
        );
        exit::exit(UNHANDLED);
    }
}
