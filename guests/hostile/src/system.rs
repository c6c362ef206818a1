//! Registers of the system, which user code must not change.
#![allow(unsafe_code)] // privileged instructions

use core::arch::asm;

use guest_excursion::syscall_handler;

const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// EFER: LMA, LME, SCE.
const LONG_MODE_AND_SYSCALL: u64 = 0x501;
/// Kernel selectors 8 and 0x10, user selectors 0x1b and 0x23.
const SELECTORS: u64 = 0x0013_0008 << 32;
/// NT, DF, IF, TF: what the handler of SYSCALL must not run with.
const MASKED: u64 = 0x4700;

/// What there is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    control: [u64; 4],
    msrs: [u64; 5],
}

impl System {
    /// Turns SYSCALL on.
    pub fn set() {
        for (index, value) in [
            (EFER, LONG_MODE_AND_SYSCALL),
            (STAR, SELECTORS),
            (LSTAR, syscall_handler()),
            (FMASK, MASKED),
            (KERNEL_GS_BASE, 0x1234_5678),
        ] {
            write_msr(index, value);
        }
    }

    /// Reads the registers.
    pub fn read() -> Self {
        let (cr0, cr3, cr4, cr8): (u64, u64, u64, u64);
        // SAFETY: reads registers.
        unsafe {
            asm!("mov {}, cr0", "mov {}, cr3", "mov {}, cr4", "mov {}, cr8",
                out(reg) cr0, out(reg) cr3, out(reg) cr4, out(reg) cr8,
                options(nomem, nostack, preserves_flags));
        }
        Self {
            control: [cr0, cr3, cr4, cr8],
            msrs: [EFER, STAR, LSTAR, FMASK, KERNEL_GS_BASE].map(read_msr),
        }
    }
}

fn read_msr(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register that exists.
    unsafe {
        asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes an MSR that nothing of Rust depends on.
pub fn write_msr(index: u32, value: u64) {
    // SAFETY: as the caller says.
    unsafe {
        asm!("wrmsr", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}
