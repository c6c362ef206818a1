//! Descriptor-table registers, the machine status word, CPUID.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;
use core::arch::x86_64::__cpuid_count as cpuid;

use guest_runtime::Digest;
use guest_runtime::descriptors::TableRegister;

use crate::guest::show as print;

/// CPUID leaf 1, EDX, without SEP and APIC.
const FEATURES: u32 = !(1 << 11 | 1 << 9);
/// Leaf 0x80000001, EDX, without SEP, APIC and NX.
const EXTENDED: u32 = !(1 << 20 | 1 << 11 | 1 << 9);

/// Prints what the processor says of itself.
pub fn show(digest: &mut Digest) {
    let (mut gdt, mut idt) = (TableRegister::default(), TableRegister::default());
    let (ldt, status, control): (u64, u64, u64);
    // SAFETY: writes to the two structures, and reads registers.
    unsafe {
        asm!("sgdt [{}]", in(reg) &raw mut gdt, options(nostack, preserves_flags));
        asm!("sidt [{}]", in(reg) &raw mut idt, options(nostack, preserves_flags));
        asm!("sldt {:r}", out(reg) ldt, options(nomem, nostack, preserves_flags));
        asm!("smsw {:r}", out(reg) status, options(nomem, nostack, preserves_flags));
        asm!("mov {}, cr0", out(reg) control, options(nomem, nostack, preserves_flags));
    }
    let TableRegister { limit, base } = gdt;
    print(digest, "gdtr", &[u64::from(limit), base]);
    let TableRegister { limit, base } = idt;
    print(digest, "idtr", &[u64::from(limit), base]);
    print(digest, "ldtr", &[ldt]);
    let same = (status ^ control) & 0xffff == 0;
    print(digest, "smsw shows cr0", &[u64::from(same)]);
    let vendor = cpuid(0, 0);
    let words = [vendor.eax, vendor.ebx, vendor.edx, vendor.ecx];
    print(digest, "cpuid 0", &words.map(u64::from));
    let features = cpuid(1, 0);
    let words = [features.eax, features.edx & FEATURES];
    print(digest, "cpuid 1", &words.map(u64::from));
    let extended = cpuid(0x8000_0001, 0);
    let words = [extended.eax, extended.edx & EXTENDED];
    print(digest, "cpuid 80000001", &words.map(u64::from));
    let sizes = cpuid(0x8000_0008, 0);
    print(digest, "cpuid 80000008", &[u64::from(sizes.eax)]);
}
