//! Segment registers, and what descriptors say.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use guest_runtime::Digest;

use crate::guest::show as print;

/// The runtime's GDT has code at 8, data at 0x10, and nothing behind.
const SELECTORS: [u16; 8] = [0, 3, 8, 0xb, 0x10, 0x13, 0x18, 0x33];

macro_rules! selector {
    ($register:literal) => {{
        let value: u64;
        // SAFETY: reads a selector.
        unsafe {
            asm!(concat!("mov {:r}, ", $register), out(reg) value,
                options(nomem, nostack, preserves_flags))
        }
        value
    }};
}

/// What `$instruction` loads for a selector, and whether ZF says that it did.
macro_rules! describe {
    ($instruction:literal, $selector:expr) => {{
        let mut value = 0x5555_5555_u64;
        let valid: u8;
        // SAFETY: reads a descriptor of the guest's GDT.
        unsafe {
            asm!(concat!($instruction, " {value:e}, {selector:e}"), "setz {valid}",
                value = inout(reg) value, selector = in(reg) u32::from($selector),
                valid = out(reg_byte) valid, options(nostack));
        }
        value << 8 | u64::from(valid)
    }};
}

macro_rules! verify {
    ($instruction:literal, $selector:expr) => {{
        let valid: u8;
        // SAFETY: as above.
        unsafe {
            asm!(concat!($instruction, " {selector:x}"), "setz {valid}",
                selector = in(reg) $selector, valid = out(reg_byte) valid, options(nostack));
        }
        u64::from(valid)
    }};
}

fn all() -> [u64; 6] {
    [
        selector!("cs"),
        selector!("ds"),
        selector!("es"),
        selector!("fs"),
        selector!("gs"),
        selector!("ss"),
    ]
}

/// Loads and stores selectors, then asks for descriptors.
pub fn show(digest: &mut Digest) {
    print(digest, "selectors", &all());
    let popped: u64;
    // As bytes: the assembler's POP FS and PUSH GS are the 16-bit forms.
    // SAFETY: 64-bit code uses neither DS nor ES, and FS has base 0 either way.
    // Data selectors at the end, as before.
    unsafe {
        asm!("mov ds, {null:e}", "mov es, {null:e}", "push 0", ".byte 0x0f, 0xa1",
            null = in(reg) 0_u32);
        print(digest, "null selectors", &all());
        asm!("mov ds, {data:e}", "mov es, {data:e}", "push {data:r}", ".byte 0x0f, 0xa1",
            ".byte 0x0f, 0xa8", "pop {popped}", data = in(reg) 0x10_u64, popped = out(reg) popped);
    }
    print(digest, "data selectors", &all());
    print(digest, "gs by way of the stack", &[popped]);
    let each = |ask: fn(u16) -> u64| SELECTORS.map(ask);
    print(digest, "lar", &each(|s| describe!("lar", s)));
    print(digest, "lsl", &each(|s| describe!("lsl", s)));
    print(digest, "verr", &each(|s| verify!("verr", s)));
    print(digest, "verw", &each(|s| verify!("verw", s)));
}
