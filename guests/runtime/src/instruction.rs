//! Privileged instructions, one function each.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use crate::descriptors::TableRegister;

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

/// `out dx, ax`.
pub fn out_word(port: u16, value: u16) {
    // SAFETY: as in `out_byte`.
    unsafe {
        asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags))
    }
}

/// `in eax, dx`.
pub fn in_long(port: u16) -> u32 {
    let value;
    // SAFETY: as in `out_byte`.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Reads CR0.
pub fn read_cr0() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Writes CR0.
///
/// # Safety
/// Paging and protected mode must stay on.
pub unsafe fn write_cr0(value: u64) {
    // SAFETY: the caller's promise. Not `nomem`: accesses must not move across.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// Reads CR2, the address of the last page fault.
pub fn read_cr2() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Writes CR2.
pub fn write_cr2(value: u64) {
    // SAFETY: the processor does not read it.
    unsafe { asm!("mov cr2, {}", in(reg) value, options(nomem, nostack, preserves_flags)) }
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

/// Reads CR4.
pub fn read_cr4() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Writes CR4.
///
/// # Safety
/// PAE must stay on.
pub unsafe fn write_cr4(value: u64) {
    // SAFETY: the caller's promise. Not `nomem`: accesses must not move across.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// `invlpg`: drops cached translations of one page.
pub fn invalidate_page(address: u64) {
    // SAFETY: dropping a cached translation is always sound. Not `nomem`:
    // accesses through the page must not move across.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

/// `lgdt` of the whole of `table`.
///
/// # Safety
/// The table must stay for ever, and have what the selectors in use stand for.
pub unsafe fn load_gdt<T>(table: *const T) {
    let register = TableRegister::of(table);
    // SAFETY: the caller's promise.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const register, options(nostack, preserves_flags)) }
}

/// `lidt` of the whole of `table`.
///
/// # Safety
/// The table must stay for ever, and its gates lead to handlers.
pub unsafe fn load_idt<T>(table: *const T) {
    let register = TableRegister::of(table);
    // SAFETY: the caller's promise.
    unsafe { asm!("lidt [{}]", in(reg) &raw const register, options(nostack, preserves_flags)) }
}

/// `ltr`.
///
/// # Safety
/// The GDT's entries at `selector` must be those of an available task state that
/// stays for ever, with stacks that nothing else uses.
pub unsafe fn load_task_register(selector: u16) {
    // SAFETY: the caller's promise. The processor marks the TSS as busy.
    unsafe { asm!("ltr {:x}", in(reg) selector, options(nostack, preserves_flags)) }
}

/// Ticks of the time-stamp counter.
pub fn ticks() -> u64 {
    // SAFETY: reads a register.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// `sti`: interrupts are on from the instruction after the next one.
pub fn enable_interrupts() {
    // SAFETY: handlers save what they use. Not `nomem`: they may write.
    unsafe { asm!("sti", options(nostack)) }
}

/// `cli`.
pub fn disable_interrupts() {
    // SAFETY: as in `enable_interrupts`.
    unsafe { asm!("cli", options(nostack)) }
}

/// Sleeps with interrupts on until one came, then turns them off. One that
/// came before ends the sleep at once.
pub fn sleep() {
    // SAFETY: as in `enable_interrupts`. No interrupt comes between STI and HLT.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
}

/// `cli` and `hlt`, for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: stops this CPU.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// `pause`: says that this processor waits for another.
pub fn pause() {
    core::hint::spin_loop();
}

/// `rdmsr`.
pub fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register; an unknown one faults to the handler.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    }
    u64::from(high) << 32 | u64::from(low)
}

/// `wrmsr`.
///
/// # Safety
/// The register must not change what the guest's code relies on, as bases of
/// segments and system-call entries do.
pub unsafe fn write_msr(number: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the caller's promise. Not `nomem`: it may send an interrupt, which
    // what was stored before must precede.
    unsafe {
        asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high, options(nostack, preserves_flags))
    }
}

/// Writes CR8, the task priority.
pub fn write_cr8(priority: u64) {
    // SAFETY: holds interrupts back, or lets them through.
    unsafe { asm!("mov cr8, {}", in(reg) priority, options(nostack, preserves_flags)) }
}

/// Reads CR8.
pub fn read_cr8() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}
