//! Into a sequence by IRETQ, and back by whatever traps.
#![allow(unsafe_code)] // assembly

use core::arch::global_asm;

/// Registers with which a sequence goes on, and the frame of IRETQ.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs)] // registers by their names
pub struct Context {
    /// RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8 to R15.
    pub general: [u64; 15],
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Pseudo vector of SYSCALL.
pub const SYSCALL: u64 = 256;

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// Vector, or [`SYSCALL`].
    pub vector: u64,
    /// Error code, if one was pushed.
    pub error_code: Option<u64>,
    /// Registers and frame.
    pub context: Context,
}

const STUB_BYTES: u64 = 16;
/// Words of general registers on the stack of a trap.
const GENERAL: usize = 15;

global_asm!(
    r#"
    .section .text, "ax"
    .macro excursion_stub vector
    .align 16
    .byte 0x68                  # push imm32
    .long \vector
    jmp excursion_trap
    .endm

    .align 16
    .global excursion_stubs
excursion_stubs:
    .altmacro
    .set excursion_vector, 0
    .rept 256
    excursion_stub %excursion_vector
    .set excursion_vector, excursion_vector + 1
    .endr
    .noaltmacro

    # SYSCALL brings no stack: RSP is the program's.
    .align 16
    .global excursion_syscall
excursion_syscall:
    mov [excursion_scratch], rsp
    lea rsp, [excursion_syscall_stack]
    push 0
    push [excursion_scratch]
    push r11
    push 0
    push rcx
    push 256
    jmp excursion_trap

    # Gives the stack of the trap, on the stack of excursion_enter.
excursion_trap:
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rbp
    push rdi
    push rsi
    push rdx
    push rcx
    push rbx
    push rax
    cld
    mov rax, rsp
    mov rsp, [excursion_stack]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

    .global excursion_enter
    .align 16
excursion_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [excursion_stack], rsp
    push [rdi + 19*8]
    push [rdi + 18*8]
    push [rdi + 17*8]
    push [rdi + 16*8]
    push [rdi + 15*8]
    mov rax, [rdi]
    mov rbx, [rdi + 8]
    mov rcx, [rdi + 2*8]
    mov rdx, [rdi + 3*8]
    mov rsi, [rdi + 4*8]
    mov rbp, [rdi + 6*8]
    mov r8, [rdi + 7*8]
    mov r9, [rdi + 8*8]
    mov r10, [rdi + 9*8]
    mov r11, [rdi + 10*8]
    mov r12, [rdi + 11*8]
    mov r13, [rdi + 12*8]
    mov r14, [rdi + 13*8]
    mov r15, [rdi + 14*8]
    mov rdi, [rdi + 5*8]
    iretq

    .section .bss, "aw", @nobits
    .align 16
excursion_stack: .skip 8
excursion_scratch: .skip 8
    .skip 1024
excursion_syscall_stack:
"#
);

// SAFETY: labels of the assembly above. Of the statics only addresses are taken, so
// that their types do not matter. The function follows the C convention: it reads the
// 20 words of a `Context` at RDI, saves RBX, RBP and R12 to R15 on its stack, and is
// returned from by `excursion_trap`, which takes them back and gives in RAX where on
// a stack of traps the registers are.
unsafe extern "C" {
    static excursion_stubs: u8;
    static excursion_syscall: u8;
    fn excursion_enter(context: *const Context) -> *const u64;
}

/// Address of the stub of `vector`.
pub fn stub(vector: usize) -> u64 {
    &raw const excursion_stubs as u64 + STUB_BYTES * vector as u64
}

/// Address of the handler of SYSCALL.
pub fn syscall_handler() -> u64 {
    &raw const excursion_syscall as u64
}

/// Runs on with `context` until something traps.
pub fn enter(context: &Context) -> Trap {
    // SAFETY: sequences write to their own pages and to stacks of traps only,
    // and every vector leads back here.
    let stack = unsafe { excursion_enter(context) };
    // SAFETY: the stub has written so many words there, and nobody else does.
    let word = |index: usize| unsafe { stack.add(index).read_volatile() };
    // The CPU aligns the stack to 16 bytes before it pushes five words; an
    // error code, the vector and fifteen registers follow.
    let coded = stack as u64 & 8 == 0;
    let frame = GENERAL + 1 + usize::from(coded);
    Trap {
        vector: word(GENERAL),
        error_code: coded.then(|| word(GENERAL + 1)),
        context: Context {
            general: core::array::from_fn(word),
            rip: word(frame),
            cs: word(frame + 1),
            rflags: word(frame + 2),
            rsp: word(frame + 3),
            ss: word(frame + 4),
        },
    }
}
