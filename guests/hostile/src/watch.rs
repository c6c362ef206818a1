//! Registers that threads share on one processor: do they show what another
//! thread had there?
//!
//! The guest puts a pattern of its own into XMM0 to XMM15, into the words that FS and GS
//! lead to, and into the selectors of DS, ES, FS and GS, waits until others have had the
//! processor for a while, and looks.
#![allow(unsafe_code)] // registers that Rust does not use

use core::arch::asm;

use guest_runtime::instruction::{ticks, write_msr};
use guest_runtime::{Memory, println};

const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
/// How often it looks, and the ticks in between: two turns of seL4's scheduler.
const LOOKS: u32 = 20;
const WAIT: u64 = 20_000_000;
/// Selectors that load without a trap at CPL 3: null, and seL4's user data.
const SELECTORS: [u16; 2] = [0, 0x33];

/// Looks again and again. `number` tells guests apart.
pub fn run(number: u64, memory: &mut Memory) -> u8 {
    let pattern = number.wrapping_mul(0x0101_0101_0101_0101) | 1 << 63;
    let selector = SELECTORS[(number % 2) as usize];
    let bases = [memory.page(), memory.page()];
    bases[0].write(0, pattern);
    bases[1].write(0, !pattern);
    let mut found = Found::default();
    for _ in 0..LOOKS {
        load_selectors(selector);
        // SAFETY: the guest's own code uses neither FS nor GS.
        unsafe {
            write_msr(FS_BASE, bases[0].address());
            write_msr(GS_BASE, bases[1].address());
        }
        let seen = wait(pattern, ticks().wrapping_add(WAIT));
        found.xmm |= seen.xmm != [pattern; 16];
        found.bases |= seen.bases != [pattern, !pattern];
        found.selectors |= seen.selectors != [selector; 4];
    }
    let say = |changed| if changed { "changed" } else { "kept" };
    println!("xmm registers: {}", say(found.xmm));
    println!("bases: {}", say(found.bases));
    println!("selectors: {}", say(found.selectors));
    println!("watch done");
    0
}

/// Which registers have changed.
#[derive(Default)]
struct Found {
    xmm: bool,
    bases: bool,
    selectors: bool,
}

/// What is in the registers.
struct Seen {
    /// Lower halves; where the upper one differs, zero.
    xmm: [u64; 16],
    bases: [u64; 2],
    selectors: [u16; 4],
}

fn load_selectors(selector: u16) {
    // SAFETY: 64-bit code ignores what these select; the bases are set next.
    unsafe {
        asm!("mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}",
            in(reg) u32::from(selector), options(nostack, preserves_flags));
    }
}

/// Puts `pattern` into all XMM registers, waits until `deadline`, and looks.
fn wait(pattern: u64, deadline: u64) -> Seen {
    let mut halves = [[0_u64; 2]; 16];
    let [ds, es, fs, gs]: [u32; 4];
    let (by_fs, by_gs): (u64, u64);
    // SAFETY: this code is compiled without SSE, so that nobody else uses these
    // registers; FS and GS lead to pages of this function's caller; 512 bytes
    // are written.
    unsafe {
        asm!(
            "movq xmm0, {pattern}", "punpcklqdq xmm0, xmm0",
            "movdqa xmm1, xmm0", "movdqa xmm2, xmm0", "movdqa xmm3, xmm0",
            "movdqa xmm4, xmm0", "movdqa xmm5, xmm0", "movdqa xmm6, xmm0",
            "movdqa xmm7, xmm0", "movdqa xmm8, xmm0", "movdqa xmm9, xmm0",
            "movdqa xmm10, xmm0", "movdqa xmm11, xmm0", "movdqa xmm12, xmm0",
            "movdqa xmm13, xmm0", "movdqa xmm14, xmm0", "movdqa xmm15, xmm0",
            "2:",
            "rdtsc", "shl rdx, 32", "or rax, rdx", "cmp rax, {deadline}", "jb 2b",
            "movdqu [{to}], xmm0", "movdqu [{to} + 0x10], xmm1",
            "movdqu [{to} + 0x20], xmm2", "movdqu [{to} + 0x30], xmm3",
            "movdqu [{to} + 0x40], xmm4", "movdqu [{to} + 0x50], xmm5",
            "movdqu [{to} + 0x60], xmm6", "movdqu [{to} + 0x70], xmm7",
            "movdqu [{to} + 0x80], xmm8", "movdqu [{to} + 0x90], xmm9",
            "movdqu [{to} + 0xa0], xmm10", "movdqu [{to} + 0xb0], xmm11",
            "movdqu [{to} + 0xc0], xmm12", "movdqu [{to} + 0xd0], xmm13",
            "movdqu [{to} + 0xe0], xmm14", "movdqu [{to} + 0xf0], xmm15",
            pattern = in(reg) pattern,
            deadline = in(reg) deadline,
            to = in(reg) halves.as_mut_ptr(),
            out("rax") _, out("rdx") _,
            options(nostack),
        );
        asm!("mov {0:e}, ds", "mov {1:e}, es", "mov {2:e}, fs", "mov {3:e}, gs",
            "mov {4}, fs:[0]", "mov {5}, gs:[0]",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
            out(reg) by_fs, out(reg) by_gs,
            options(readonly, nostack, preserves_flags));
    }
    Seen {
        xmm: halves.map(|[low, high]| if low == high { low } else { 0 }),
        bases: [by_fs, by_gs],
        selectors: [ds, es, fs, gs].map(|selector| selector as u16),
    }
}
