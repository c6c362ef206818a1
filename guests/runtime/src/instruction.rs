//! Privileged instructions, one function each.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

/// `out dx, al`.
pub fn out_byte(port: u16, value: u8) {
    // SAFETY: devices of this platform do not touch the guest's memory.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    }
}

/// `in al, dx`.
pub fn in_byte(port: u16) -> u8 {
    let value;
    // SAFETY: as in `out_byte`.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Reads CR2, the address of the last page fault.
pub fn read_cr2() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Reads CR3.
pub fn read_cr3() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Loads CR3, which also drops all cached translations.
///
/// # Safety
/// The tables at `value` must map what the guest goes on using, unchanged.
pub unsafe fn write_cr3(value: u64) {
    // SAFETY: the caller's promise. Not `nomem`: accesses must not move across.
    unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// `invlpg`: drops cached translations of one page.
pub fn invalidate_page(address: u64) {
    // SAFETY: dropping a cached translation is always sound. Not `nomem`:
    // accesses through the page must not move across.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

/// `cli` and `hlt`, for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: stops this CPU.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
