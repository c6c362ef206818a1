//! Registers of the system, which user code must not change.
#![allow(unsafe_code)] // WRMSR

use guest_excursion::syscall_handler;
use guest_runtime::instruction::{read_cr0, read_cr3, read_cr4, read_cr8, read_msr, write_msr};

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
            // SAFETY: SYSCALL, once it is on, leads to a handler that nothing of
            // Rust calls, and nothing of Rust executes SWAPGS.
            unsafe { write_msr(index, value) };
        }
    }

    /// Reads the registers.
    pub fn read() -> Self {
        Self {
            control: [read_cr0(), read_cr3(), read_cr4(), read_cr8()],
            msrs: [EFER, STAR, LSTAR, FMASK, KERNEL_GS_BASE].map(read_msr),
        }
    }
}
