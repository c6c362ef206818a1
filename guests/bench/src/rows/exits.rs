//! Instructions that trap, one after the other, and the clock itself.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use crate::rows::{Bench, Figure, Measured};
use crate::tsc;

const TIMES: u64 = 2000;

/// What measuring costs.
pub fn rdtsc(_: &mut Bench) -> Measured {
    Ok(Figure { iterations: 1, instructions: tsc::back_to_back() })
}

/// Three instructions: a write to the port of POST codes.
pub fn out80(_: &mut Bench) -> Measured {
    Ok(repeated(|| {
        // SAFETY: no device of this platform does anything on such a write.
        unsafe {
            asm!("2: out 0x80, al", "dec {n:e}", "jnz 2b",
                n = inout(reg) TIMES => _, in("al") 0_u8, options(nomem, nostack));
        }
    }))
}

/// Three instructions: a write to a port that no device claims.
pub fn out_unused(_: &mut Bench) -> Measured {
    Ok(repeated(|| {
        // SAFETY: as above.
        unsafe {
            asm!("2: out 0xe0, al", "dec {n:e}", "jnz 2b",
                n = inout(reg) TIMES => _, in("al") 0_u8, options(nomem, nostack));
        }
    }))
}

/// Five instructions: CPUID leaf 0.
pub fn cpuid(_: &mut Bench) -> Measured {
    Ok(repeated(|| {
        // SAFETY: CPUID changes registers only; RBX, which the compiler keeps
        // for itself, is put back.
        unsafe {
            asm!("mov {rbx}, rbx",
                "2: xor eax, eax", "xor ecx, ecx", "cpuid", "dec {n:e}", "jnz 2b",
                "mov rbx, {rbx}",
                rbx = out(reg) _, n = inout(reg) TIMES => _,
                out("eax") _, out("ecx") _, out("edx") _, options(nomem, nostack));
        }
    }))
}

/// Four instructions: RDMSR of IA32_EFER.
pub fn rdmsr(_: &mut Bench) -> Measured {
    Ok(repeated(|| {
        // SAFETY: reads a register that every 64-bit processor has.
        unsafe {
            asm!("2: mov ecx, 0xc0000080", "rdmsr", "dec {n:e}", "jnz 2b",
                n = inout(reg) TIMES => _,
                out("eax") _, out("ecx") _, out("edx") _, options(nomem, nostack));
        }
    }))
}

/// Four instructions: a software interrupt whose handler is one `iretq`.
pub fn kernel_int(_: &mut Bench) -> Measured {
    Ok(repeated(|| {
        // SAFETY: the handler returns at once and changes nothing; the frame
        // goes onto this stack, so the block is not `nostack`.
        unsafe {
            asm!("2: int 0x81", "dec {n:e}", "jnz 2b", n = inout(reg) TIMES => _);
        }
    }))
}

/// Five instructions: a divide error, whose handler goes on behind the instruction.
pub fn exception(_: &mut Bench) -> Measured {
    Ok(repeated(|| {
        // SAFETY: the handler skips the two bytes of DIV and changes nothing else; the
        // frame goes onto this stack, so the block is not `nostack`.
        unsafe {
            asm!("2: div ecx", "dec {n:e}", "jnz 2b", n = inout(reg) TIMES => _,
                in("ecx") 0, in("eax") 1, in("edx") 0);
        }
    }))
}

#[inline(always)]
fn repeated(work: impl FnOnce()) -> Figure {
    let (instructions, ()) = tsc::instructions_of(work);
    Figure { iterations: TIMES, instructions }
}
