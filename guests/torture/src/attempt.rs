//! Accesses that may fault, in kernel and user mode.
//!
//! ```text
//! kernel:  torture_read ── #PF ──> handler ──> ret
//! user:    torture_user ─ iretq ─> CPL 3: access, ud2 ── #UD or #PF ──> handler ─> torture_leave_user
//! ```
#![allow(unsafe_code)] // accesses through arbitrary addresses, control registers

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use guest_runtime::descriptors::selector::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
use guest_runtime::instruction::{read_cr0, read_cr2, write_cr0};
use guest_runtime::{Frame, set_handler};

use crate::pool;
use crate::walk::{Access, Kind};

const INVALID_OPCODE: u64 = 6;
const PAGE_FAULT: u64 = 14;
/// RFLAGS with nothing set.
const PLAIN_FLAGS: u64 = 2;

global_asm!(
    r#"
    .section .text, "ax"
    # RAX := [RDI]
torture_read:
    mov rax, [rdi]
torture_return:
    ret
    # [RDI] := RSI
torture_write:
    mov [rdi], rsi
    ret
    # Runs the `ret` at RDI.
torture_execute:
    jmp rdi

    # The same in user mode, ended by a trap; entered below.
torture_user_read:
    mov rax, [rdi]
torture_user_read_end:
    ud2
torture_user_write:
    mov [rdi], rsi
torture_user_write_end:
    ud2
torture_user_execute:
    jmp rdi

    # Runs the user code at RDX with RDI and RSI.
torture_user:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [torture_kernel_stack], rsp
    push {user_data}
    push 0                      # user code has no stack
    push {flags}
    push {user_code}
    push rdx
    iretq
torture_leave_user:
    mov rsp, [torture_kernel_stack]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

    .section .bss, "aw", @nobits
    .align 8
torture_kernel_stack: .skip 8
"#,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
    flags = const PLAIN_FLAGS,
);

// SAFETY: labels of the assembly above. The functions follow the C convention: they
// take RDI, RSI and RDX, give RAX, and change no other register that they do not put
// back; where they end in a trap, `handle` goes on at the `ret` of `torture_return` or
// `torture_leave_user`. Of the statics only addresses are taken, so that their types
// do not matter.
unsafe extern "C" {
    fn torture_read(address: u64) -> u64;
    fn torture_write(address: u64, value: u64);
    fn torture_execute(address: u64);
    fn torture_user(address: u64, value: u64, code: u64) -> u64;
    static torture_return: u8;
    static torture_user_read: u8;
    static torture_user_read_end: u8;
    static torture_user_write: u8;
    static torture_user_write_end: u8;
    static torture_user_execute: u8;
    static torture_leave_user: u8;
}

/// What an access gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It went through; the value, if it read one.
    Value(u64),
    /// It faulted.
    Fault {
        /// The error code.
        code: u64,
        /// CR2.
        address: u64,
    },
    /// User code ended in a trap at this address, which was not its end.
    Trap(u64),
}

/// Whether an access is going on.
static EXPECTING: AtomicU64 = AtomicU64::new(0);
/// Error code and CR2 of the access's fault; the code is `u64::MAX` without one.
static CODE: AtomicU64 = AtomicU64::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);
/// RIP of the trap that ended user code.
static TRAP: AtomicU64 = AtomicU64::new(0);

/// Sends exceptions here. To be called once.
pub fn init() {
    set_handler(handle);
}

/// Makes an access at `offset` of the page at `page`, both of which the caller
/// chose; a fetch goes to the page's code instead. The tables lead to pool
/// pages or fault.
pub fn attempt(page: u64, offset: u64, value: u64, access: Access) -> Seen {
    CODE.store(u64::MAX, Ordering::SeqCst);
    EXPECTING.store(1, Ordering::SeqCst);
    let (result, end) = if access.user {
        user(page, offset, value, access.kind)
    } else {
        (kernel(page, offset, value, access.kind), 0)
    };
    EXPECTING.store(0, Ordering::SeqCst);
    match CODE.load(Ordering::SeqCst) {
        u64::MAX if access.user && TRAP.load(Ordering::SeqCst) != end => {
            Seen::Trap(TRAP.load(Ordering::SeqCst))
        }
        u64::MAX if access.kind == Kind::Read => Seen::Value(result),
        u64::MAX => Seen::Value(0),
        code => Seen::Fault { code, address: ADDRESS.load(Ordering::SeqCst) },
    }
}

/// Where `attempt` faults if it does.
pub fn target(page: u64, offset: u64, access: Access) -> u64 {
    page + match (access.kind, access.user) {
        (Kind::Execute, false) => pool::RETURN_OFFSET,
        (Kind::Execute, true) => pool::TRAP_OFFSET,
        _ => offset,
    }
}

fn kernel(page: u64, offset: u64, value: u64, kind: Kind) -> u64 {
    // SAFETY: no Rust object lies in pages under test, writes reach only words
    // of pool pages that Rust reads as volatile, and the code is a `ret`. A
    // fault goes to `handle`, which returns to the caller.
    unsafe {
        match kind {
            Kind::Read => torture_read(page + offset),
            Kind::Write => {
                torture_write(page + offset, value);
                0
            }
            Kind::Execute => {
                torture_execute(page + pool::RETURN_OFFSET);
                0
            }
        }
    }
}

/// Gives RAX, and the address of the trap that ends the code in order.
fn user(page: u64, offset: u64, value: u64, kind: Kind) -> (u64, u64) {
    let (code, address, end) = match kind {
        Kind::Read => {
            (&raw const torture_user_read, page + offset, &raw const torture_user_read_end as u64)
        }
        Kind::Write => {
            (&raw const torture_user_write, page + offset, &raw const torture_user_write_end as u64)
        }
        Kind::Execute => {
            let address = page + pool::TRAP_OFFSET;
            (&raw const torture_user_execute, address, address)
        }
    };
    // SAFETY: as in `kernel`; user code ends with a trap to `handle`.
    (unsafe { torture_user(address, value, code as u64) }, end)
}

fn handle(frame: &mut Frame) -> bool {
    const PRIVILEGE: u64 = 3;
    if EXPECTING.swap(0, Ordering::SeqCst) == 0 {
        return false;
    }
    let user = frame.cs & PRIVILEGE != 0;
    match frame.vector {
        PAGE_FAULT => {
            CODE.store(with_present(frame.error_code), Ordering::SeqCst);
            ADDRESS.store(read_cr2(), Ordering::SeqCst);
        }
        INVALID_OPCODE if user => TRAP.store(frame.rip, Ordering::SeqCst),
        _ => return false,
    }
    if user {
        frame.rip = &raw const torture_leave_user as u64;
        frame.cs = KERNEL_CODE.into();
        frame.ss = KERNEL_DATA.into();
        frame.rflags = PLAIN_FLAGS;
    } else {
        // The access's return address is on top of the stack.
        frame.rip = &raw const torture_return as u64;
    }
    true
}

/// A fault for a reserved bit has P set in its error code (SDM vol. 3A, §4.7);
/// QEMU's TCG leaves it clear since 7.2, and the bare machine is TCG.
fn with_present(code: u64) -> u64 {
    const PRESENT: u64 = 1;
    const RESERVED: u64 = 1 << 3;
    if code & RESERVED != 0 { code | PRESENT } else { code }
}

/// Sets or clears CR0.WP.
pub fn set_write_protect(on: bool) {
    const WRITE_PROTECT: u64 = 1 << 16;
    let cr0 = read_cr0();
    let cr0 = if on { cr0 | WRITE_PROTECT } else { cr0 & !WRITE_PROTECT };
    // SAFETY: changes only what writes through read-only mappings do; Rust
    // makes none.
    unsafe { write_cr0(cr0) };
}
