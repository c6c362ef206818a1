//! The clock: the time-stamp counter, one tick an instruction.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

/// Reads the counter. Volatile, so it stays where it stands among the other
/// assembly.
#[inline(always)]
pub fn read() -> u64 {
    let counter;
    // SAFETY: reads a register.
    unsafe {
        asm!("rdtsc", "shl rdx, 32", "or rax, rdx",
            out("rax") counter, out("rdx") _, options(nomem, nostack));
    }
    counter
}

/// Instructions from one reading to the next: what measuring itself adds.
pub fn back_to_back() -> u64 {
    let difference;
    // SAFETY: reads registers.
    unsafe {
        asm!("rdtsc", "shl rdx, 32", "lea rcx, [rax + rdx]",
            "rdtsc", "shl rdx, 32", "or rax, rdx", "sub rax, rcx",
            out("rax") difference, out("rcx") _, out("rdx") _, options(nomem, nostack));
    }
    difference
}

/// Instructions that `work` takes, and a few of the measurement.
#[inline(always)]
pub fn instructions_of<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let start = read();
    let result = work();
    (read() - start, result)
}
