//! PUSHF and POPF: IF and IOPL are the guest's own.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use guest_runtime::Digest;

use crate::guest::show as print;

/// Control flags: TF stays clear, the arithmetic ones are the compiler's.
const CONTROL: u64 = 0x3f_f600;

const IF: u64 = 1 << 9;
const DF: u64 = 1 << 10;
const IOPL: u64 = 3 << 12;
const NT: u64 = 1 << 14;
const AC: u64 = 1 << 18;
const ID: u64 = 1 << 21;

fn read() -> u64 {
    let flags: u64;
    // SAFETY: reads a register by way of the stack.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & CONTROL
}

/// Loads `flags`, reads them back, and restores what the compiler expects.
fn load(flags: u64) -> u64 {
    let seen: u64;
    // SAFETY: DF, NT, AC and IOPL are clear again at the end; IF may change,
    // and no interrupt comes.
    unsafe {
        asm!("push {flags}", "popfq", "pushfq", "pop {seen}", "push 2", "popfq",
            flags = in(reg) flags, seen = out(reg) seen);
    }
    seen & CONTROL
}

/// The 16-bit forms, which leave the upper half alone.
fn load_word(flags: u16) -> (u64, u64) {
    let (seen, word): (u64, u64);
    // SAFETY: as above.
    unsafe {
        asm!("push 0x200002", "popfq", // ID and the fixed bit
            "push {flags:x}", ".byte 0x66", "popf",
            "pushfq", "pop {seen}",
            ".byte 0x66", "pushf", "xor {word:e}, {word:e}", "pop {word:x}",
            "push 2", "popfq",
            flags = in(reg) flags, seen = out(reg) seen, word = out(reg) word);
    }
    (seen & CONTROL, word & CONTROL)
}

/// Prints what the flags show after every change.
pub fn show(digest: &mut Digest) {
    // SAFETY: no interrupt comes: the controllers are masked.
    unsafe { asm!("sti", "nop") };
    let enabled = read();
    // SAFETY: as above.
    unsafe { asm!("cli") };
    print(digest, "flags after sti and cli", &[enabled, read()]);
    let values = [0, IF, DF, IOPL, NT, AC, ID, IF | IOPL | AC, 0x3000_0000];
    print(digest, "flags loaded", &values.map(load));
    let (seen, word) = load_word((IF | DF) as u16);
    print(digest, "flags loaded as a word", &[seen, word]);
}
