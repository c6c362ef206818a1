//! Trap handlers, in assembly: their instructions are part of what is counted.
//!
//! | vector | handler | instructions |
//! |---|---|---|
//! | 0 | goes on two bytes further | 2 |
//! | 14 | checks the fault, sets P and W in the entry, goes on | 42 |
//! | 0x80 | leaves user mode: goes on behind `enter_user` | 8 |
//! | 0x81 | `iretq` | 1 |
//!
//! Any other exception ends the guest.
#![allow(unsafe_code)] // assembly, and the handlers' shared record

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use guest_runtime::descriptors::Gate;
use guest_runtime::descriptors::selector::{USER_CODE, USER_DATA};
use guest_runtime::instruction::read_cr2;
use guest_runtime::{exit, println};

use crate::window::Window;

const EXCEPTIONS: usize = 32;
const STUB_BYTES: u64 = 16;
const DIVIDE_ERROR: usize = 0;
/// Vector that user code uses to come back.
const LEAVE_USER: usize = 0x80;
/// Vector that only returns.
const NOTHING: usize = 0x81;
/// Status of a guest that took a trap which it did not expect.
const UNEXPECTED: u8 = 102;

/// What the page-fault handler expects, and what it has seen.
#[repr(C)]
struct Repair {
    faults: AtomicU64,
    error_code: AtomicU64,
    first_address: AtomicU64,
    pages: AtomicU64,
    entries: AtomicU64,
    old_rights: AtomicU64,
}

static REPAIR: Repair = Repair {
    faults: AtomicU64::new(0),
    error_code: AtomicU64::new(0),
    first_address: AtomicU64::new(0),
    pages: AtomicU64::new(0),
    entries: AtomicU64::new(0),
    old_rights: AtomicU64::new(0),
};

/// Makes the handler repair page faults of `window` from now on. Each must
/// come with `error_code` and find P and W of its entry to be `old_rights`;
/// the handler sets both.
pub fn repair_faults_of(window: Window, error_code: u64, old_rights: u64) {
    let values = [
        (&REPAIR.faults, 0),
        (&REPAIR.error_code, error_code),
        (&REPAIR.first_address, window.address()),
        (&REPAIR.pages, window.pages()),
        (&REPAIR.entries, window.entries()),
        (&REPAIR.old_rights, old_rights),
    ];
    for (place, value) in values {
        place.store(value, Ordering::SeqCst);
    }
}

/// Faults repaired since, and no more from now on.
pub fn faults_repaired() -> u64 {
    REPAIR.pages.store(0, Ordering::SeqCst);
    REPAIR.faults.load(Ordering::SeqCst)
}

global_asm!(
    r#"
    .section .text, "ax"
    .macro bench_stub vector
    .align 16
    # Vectors 8, 10-14, 17, 21, 29 and 30 push an error code themselves.
    .if ((1 << \vector) & 0x60227d00) == 0
    push 0
    .endif
    push \vector
    jmp bench_exception
    .endm

    .align 16
bench_stubs:
    .altmacro
    .set bench_vector, 0
    .rept 32
    bench_stub %bench_vector
    .set bench_vector, bench_vector + 1
    .endr
    .noaltmacro

    .align 16
bench_exception:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rdi, [rsp + 72]         # vector
    mov rsi, [rsp + 80]         # error code
    call [bench_handlers + rdi*8]
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

bench_page_fault:
    inc qword ptr [{repair}]
    cmp rsi, [{repair} + 8]
    jne bench_unexpected
    mov rdx, cr2
    sub rdx, [{repair} + 16]
    shr rdx, 12
    cmp rdx, [{repair} + 24]
    jae bench_unexpected
    mov rcx, [{repair} + 32]
    mov rax, [rcx + rdx*8]
    mov r8d, eax
    and r8d, 3
    cmp r8, [{repair} + 40]
    jne bench_unexpected
    or rax, 3                   # present, writable
    mov [rcx + rdx*8], rax
    ret

bench_unexpected:
    mov rdx, [rsp + 96]         # RIP: behind the return address, 9 registers, vector, code
    and rsp, -16
    call {unexpected}
    ud2

    .align 16
bench_nothing:
    iretq

    .align 16
bench_skip:
    add qword ptr [rsp], 2
    iretq

    .global bench_enter_user
    .align 16
# Runs user code at RCX with RDI, RSI and RDX until its `int 0x80`.
bench_enter_user:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [bench_kernel_stack], rsp
    push {user_data}
    push 0                      # user code has no stack
    push 2                      # flags: no interrupts
    push {user_code}
    push rcx
    iretq
bench_leave_user:
    mov rsp, [bench_kernel_stack]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

    .section .rodata, "a"
    .align 8
bench_handlers:
    .rept 14
    .quad bench_unexpected
    .endr
    .quad bench_page_fault
    .rept 17
    .quad bench_unexpected
    .endr

    .section .bss, "aw", @nobits
    .align 8
bench_kernel_stack: .skip 8
"#,
    repair = sym REPAIR,
    unexpected = sym unexpected,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
);

// SAFETY: labels of the assembly above. Only their addresses are taken, so that their
// types do not matter.
unsafe extern "C" {
    static bench_stubs: u8;
    static bench_leave_user: u8;
    static bench_skip: u8;
    static bench_nothing: u8;
}

/// The gate of `vector`.
pub fn gate(vector: usize) -> Gate {
    match vector {
        DIVIDE_ERROR => Gate::new(&raw const bench_skip as u64),
        1..EXCEPTIONS => Gate::new(&raw const bench_stubs as u64 + STUB_BYTES * vector as u64),
        LEAVE_USER => Gate::new(&raw const bench_leave_user as u64).for_users(),
        NOTHING => Gate::new(&raw const bench_nothing as u64),
        _ => Gate::ABSENT,
    }
}

extern "C" fn unexpected(vector: u64, error_code: u64, rip: u64) -> ! {
    println!(
        "FAIL unexpected trap {vector} at {rip:#x}, error code {error_code:#x}, cr2 {:#x}",
        read_cr2()
    );
    exit::exit(UNEXPECTED)
}
