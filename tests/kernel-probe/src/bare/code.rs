//! The instructions that subjects execute.
//!
//! Each snippet ends in `ud2`, whose fault tells the root task that the
//! instructions before it went through. A snippet is named by its address; the
//! labels `_after` name the address behind the instruction under test.
#![allow(unsafe_code, reason = "symbols of assembly are foreign items")]

use core::arch::global_asm;

global_asm!(
    ".section .text.subjects, \"ax\"",
    // RAX := the word at RDI.
    ".global subject_load",
    "subject_load:",
    "mov rax, [rdi]",
    "ud2",
    // A system call, every register as it is given.
    ".global subject_syscall",
    "subject_syscall:",
    "syscall",
    ".global subject_syscall_after",
    "subject_syscall_after:",
    "ud2",
    // RAX, RBX := the words at FS:0 and GS:0.
    ".global subject_bases",
    "subject_bases:",
    "mov rax, fs:[0]",
    "mov rbx, gs:[0]",
    "ud2",
    // Loads the selector in EAX into GS, then yields for ever.
    ".global subject_zero_gs",
    "subject_zero_gs:",
    "mov gs, eax",
    "2:",
    "syscall",
    "jmp 2b",
    // Yields twice, then RBX := the word at GS:0.
    ".global subject_yield_gs",
    "subject_yield_gs:",
    "syscall",
    "syscall",
    "mov rbx, gs:[0]",
    "ud2",
    // Jumps to RAX.
    ".global subject_jump",
    "subject_jump:",
    "jmp rax",
    // Two instructions to step over.
    ".global subject_steps",
    "subject_steps:",
    "nop",
    ".global subject_steps_after",
    "subject_steps_after:",
    "nop",
    ".global subject_steps_end",
    "subject_steps_end:",
    "ud2",
    // RFLAGS := RAX by popfq with the stack in RSP, then a system call.
    ".global subject_flags",
    "subject_flags:",
    "push rax",
    "popfq",
    ".global subject_flags_syscall",
    "subject_flags_syscall:",
    "syscall",
    "ud2",
    // Stores the SSE control word at RDI.
    ".global subject_mxcsr",
    "subject_mxcsr:",
    "stmxcsr [rdi]",
    "mov eax, [rdi]",
    "ud2",
    // Stores the interrupt table's register at RDI.
    ".global subject_sidt",
    "subject_sidt:",
    "sidt [rdi]",
    "mov rax, [rdi + 2]",
    "ud2",
);

macro_rules! addresses {
    ($($(#[$doc:meta])* $name:ident = $symbol:ident;)*) => {
        // SAFETY: the symbols are defined above and only their addresses are taken.
        unsafe extern "C" {
            $(safe fn $symbol();)*
        }
        $($(#[$doc])* pub fn $name() -> u64 { $symbol as *const () as u64 })*
    };
}

addresses! {
    /// Loads RAX from the address in RDI.
    load = subject_load;
    /// Makes a system call with the registers given.
    syscall = subject_syscall;
    /// Behind that system call.
    syscall_after = subject_syscall_after;
    /// Loads RAX and RBX from the addresses in FS and GS base.
    bases = subject_bases;
    /// Loads GS with the selector in EAX and makes its system call for ever.
    zero_gs = subject_zero_gs;
    /// Makes two system calls and loads RBX from the address in GS base.
    yield_gs = subject_yield_gs;
    /// Jumps to the address in RAX.
    jump = subject_jump;
    /// Two instructions that do nothing.
    steps = subject_steps;
    /// The second of them.
    steps_after = subject_steps_after;
    /// Where they end.
    steps_end = subject_steps_end;
    /// Loads RFLAGS from RAX and makes a system call.
    flags = subject_flags;
    /// That system call.
    flags_syscall = subject_flags_syscall;
    /// Stores MXCSR at RDI and loads it into EAX.
    mxcsr = subject_mxcsr;
    /// Stores IDTR at RDI and loads its base into RAX.
    sidt = subject_sidt;
}
