//! Registers of the system: read for the digest, put back before each sequence.
#![allow(unsafe_code)] // privileged instructions

use core::arch::asm;

use guest_excursion as excursion;
use guest_runtime::instruction::{
    read_cr0, read_cr2, read_cr4, read_cr8, read_msr, write_cr0, write_cr2, write_cr4, write_cr8,
    write_msr,
};

/// What sequences change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    pub cr0: u64,
    pub cr2: u64,
    pub cr4: u64,
    pub cr8: u64,
    /// DR0 to DR3, DR6, DR7.
    pub debug: [u64; 6],
    /// Of [`MSRS`].
    pub msrs: [u64; MSRS.len()],
}

/// EFER, STAR, LSTAR, CSTAR, FMASK, FS base, GS base, KERNEL_GS_BASE, PAT.
const MSRS: [u32; 9] = [
    0xc000_0080,
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084,
    0xc000_0100,
    0xc000_0101,
    0xc000_0102,
    0x277,
];

impl System {
    /// What a sequence starts with.
    pub fn initial(dr6: u64) -> Self {
        Self {
            cr0: 0x8001_0031, // PG, WP, NE, ET, PE
            cr2: 0,
            cr4: 0x20, // PAE
            cr8: 0,
            debug: [0, 0, 0, 0, dr6, 0x400],
            msrs: [
                0x501, // LMA, LME, SCE
                0x0013_0008 << 32,
                excursion::syscall_handler(),
                0,
                0x100, // TF: the handler is not stepped
                0,
                0,
                0x1234_5678,
                0x0007_0406_0007_0406,
            ],
        }
    }

    /// What is there now.
    pub fn read() -> Self {
        let (d0, d1, d2, d3, d6, d7): (u64, u64, u64, u64, u64, u64);
        // SAFETY: reads registers.
        unsafe {
            asm!("mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
                out(reg) d0, out(reg) d1, out(reg) d2, out(reg) d3,
                options(nomem, nostack, preserves_flags));
            asm!("mov {}, dr6", "mov {}, dr7", out(reg) d6, out(reg) d7,
                options(nomem, nostack, preserves_flags));
        }
        Self {
            cr0: read_cr0(),
            cr2: read_cr2(),
            cr4: read_cr4(),
            cr8: read_cr8(),
            debug: [d0, d1, d2, d3, d6, d7],
            msrs: MSRS.map(read_msr),
        }
    }

    /// Makes the registers, which are `now`, what `self` says.
    pub fn restore(&self, now: &Self) {
        // SAFETY: the values are those of `initial`, which keep 64-bit mode.
        unsafe {
            if self.cr0 != now.cr0 {
                write_cr0(self.cr0);
            }
            if self.cr4 != now.cr4 {
                write_cr4(self.cr4);
            }
        }
        if self.cr2 != now.cr2 {
            write_cr2(self.cr2);
        }
        if self.cr8 != now.cr8 {
            write_cr8(self.cr8);
        }
        if self.debug != now.debug {
            let [d0, d1, d2, d3, d6, d7] = self.debug;
            // SAFETY: the values are those of `initial`, which enable no breakpoint.
            unsafe {
                asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
                    in(reg) d0, in(reg) d1, in(reg) d2, in(reg) d3,
                    options(nostack, preserves_flags));
                asm!("mov dr6, {}", "mov dr7, {}", in(reg) d6, in(reg) d7,
                    options(nostack, preserves_flags));
            }
        }
        for (index, (wanted, is)) in self.msrs.iter().zip(&now.msrs).enumerate() {
            if wanted != is {
                // SAFETY: the values are those of `initial`; nothing of the guest
                // lies by FS or GS, or executes SYSCALL outside sequences.
                unsafe { write_msr(MSRS[index], *wanted) };
            }
        }
    }
}
