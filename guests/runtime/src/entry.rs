//! The two entry points, and the way from them to the guest's main function.
//!
//! ```text
//! PVH note → guest_start32 (32-bit, paging off, EBX = hvm_start_info)
//!              boot page tables, long mode ↓
//! e_entry  → guest_start64 (64-bit, paging on, RSI = boot_params)
//!              own GDT and stack → start(protocol, pointer) → main → exit
//! ```
//!
//! The boot page tables map the first 4 GiB one to one, as the loader's do for
//! RAM under Umbriel; guests switch to tables of their own.
#![allow(unsafe_code)] // entry code: assembly, and physical memory read through the identity map

use core::arch::global_asm;

use crate::descriptors::segment;
use crate::{BootInfo, exit, uart};

/// How the guest was entered; the assembly passes the number.
const PROTOCOL_PVH: u64 = 1;

global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .align 4
    .long 4                     # size of the name
    .long 8                     # size of the address; QEMU reads eight bytes
    .long 18                    # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad guest_start32

    .section .text.boot, "ax"
    .code32
guest_start32:
    cli
    cld
    mov ebp, ebx
    lea eax, [boot_level3 + 3]  # present, writable
    mov [boot_level4], eax
    lea eax, [boot_level2 + 3]
    xor ecx, ecx
2:  mov [boot_level3 + ecx*8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jne 2b
    xor ecx, ecx
3:  mov eax, ecx
    shl eax, 21
    or eax, 0x83                # present, writable, 2 MiB
    mov [boot_level2 + ecx*8], eax
    inc ecx
    cmp ecx, 2048
    jne 3b
    lea eax, [boot_level4]
    mov cr3, eax
    mov eax, 0x20               # PAE
    mov cr4, eax
    mov ecx, 0xc0000080         # EFER
    rdmsr
    or eax, 0x100               # LME
    wrmsr
    mov eax, 0x80010033         # PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [guest_gdtr]
    .byte 0xea                  # jmp 8:4f
    .long 4f
    .word 8

    .code64
4:  mov edi, 1
    mov esi, ebp
    jmp 5f

    .global guest_start64
guest_start64:
    cli
    cld
    xor edi, edi
5:  lea rsp, [rip + boot_stack_top]
    lgdt [rip + guest_gdtr]
    mov eax, 0x10
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    push 8
    lea rax, [rip + 6f]
    push rax
    retfq
6:  xor ebp, ebp
    call {start}
    ud2

    .section .rodata.boot, "a"
    .align 16
    .global guest_gdtr
boot_gdt:
    .quad 0
    .quad {kernel_code}
    .quad {kernel_data}
guest_gdtr:
    .word 23
    .quad boot_gdt

    .section .bss.boot, "aw", @nobits
    .align 4096
boot_level4: .skip 4096
boot_level3: .skip 4096
boot_level2: .skip 4 * 4096
    .skip 65536
boot_stack_top:
"#,
    start = sym start,
    kernel_code = const segment::KERNEL_CODE,
    kernel_data = const segment::KERNEL_DATA,
);

// SAFETY: `entry!` defines it with this signature, in safe Rust, under this name;
// without that, or with two, the guest does not link.
unsafe extern "Rust" {
    /// Defined by [`entry!`].
    safe fn guest_main(boot: &BootInfo) -> u8;
}

extern "C" fn start(protocol: u64, pointer: u64) -> ! {
    uart::init();
    crate::exception::init();
    // SAFETY: the loader placed its structures in RAM, which is identity
    // mapped, and nothing writes there before they are copied here.
    let byte = |address: u64| unsafe { (address as *const u8).read_volatile() };
    let boot = if protocol == PROTOCOL_PVH {
        BootInfo::from_pvh(pointer, byte)
    } else {
        BootInfo::from_linux(pointer, byte)
    };
    exit::exit(guest_main(&boot))
}

/// Names the guest's main function, a `fn(&BootInfo) -> u8`. What it returns
/// is the guest's exit status.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[allow(unsafe_code)] // an exported symbol; `guest-runtime` declares the same type for it
        const _: () = {
            #[unsafe(no_mangle)]
            fn guest_main(boot: &$crate::BootInfo) -> u8 {
                $main(boot)
            }
        };
    };
}
