//! E4: the direction flag and its kin do not enter the kernel.
//!
//! DF: the kernel copies a new thread's floating-point state with a string
//! instruction. A Retype with DF set runs it backwards, and the thread starts
//! with MXCSR zero instead of 0x1f80. (What lies below the state in the thread's
//! object is unused, so nothing else is harmed.) QEMU's own translation clears DF
//! at `syscall` whatever the mask says, so there this half cannot fail; other
//! processors do as the mask says.
//!
//! NT: a thread without a fault handler makes an unknown system call with NT set.
//! The kernel puts it aside and goes on with another thread by iretq, which
//! faults in the kernel if NT is still set: the machine stops. Hence this probe
//! is the last one.
#![allow(unsafe_code, reason = "a system call with the direction flag set")]

use core::arch::asm;

use sel4::{MessageInfo, ObjectBlueprint, UserContext, cap, init_thread, ipc_buffer};

use crate::bare::code;
use crate::bare::lab::{Lab, PAGE};
use crate::bare::subject::{PLAIN_FLAGS, Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

/// MXCSR after a reset.
const INITIAL_MXCSR: u64 = 0x1f80;

const DF: u64 = 1 << 10;
const NT: u64 = 1 << 14;
const AC: u64 = 1 << 18;

/// A system call number that no kernel has.
const UNKNOWN: u64 = 0x7777;

pub fn probe(lab: &mut Lab) -> Seen {
    // The object in front of the thread, in case the copy goes astray.
    let _: cap::Granule = lab.make(ObjectBlueprint::_4k);
    let frame: cap::Granule = lab.make(ObjectBlueprint::_4k);
    let address = lab.map(frame);
    let slot = lab.slot();
    let error = retype_with_direction_flag(lab.untyped(), slot.bits());
    require!(error == 0, "Retype with DF set returned the error {error}");

    let new = Subject::configured(lab, slot.cast(), None);
    let outcome = new.run(&UserContext { rdi: address as u64, ..at(code::mxcsr()) });
    let mxcsr = new.registers().rax;
    require!(
        outcome.is_end() && mxcsr == INITIAL_MXCSR,
        "a thread made by a system call with DF set starts with MXCSR {mxcsr:#x}"
    );

    for flags in [AC, DF, NT, NT | AC | DF] {
        let stack = address + PAGE;
        entered_with(lab, flags, stack as u64)?;
    }
    Ok(())
}

/// A thread enters the kernel with these flags and does not come back; another
/// one is returned to by iretq in the same kernel entry.
fn entered_with(lab: &mut Lab, flags: u64, stack: u64) -> Seen {
    let lost = Subject::without_fault_handler(lab);
    let next = Subject::guest(lab);
    let context =
        UserContext { rax: flags | PLAIN_FLAGS, rdx: UNKNOWN, rsp: stack, ..at(code::flags()) };
    // At equal priorities the one started last runs first.
    next.start(&at(code::syscall_after()));
    lost.start(&context);
    let outcome = next.next();
    let seen = lost.registers();
    require!(
        outcome.is_end() && seen.rip == code::flags_syscall(),
        "a system call with the flags {flags:#x}: {}, the caller at {:#x}",
        outcome.describe(),
        seen.rip
    );
    require!(seen.rflags & flags == flags, "the caller's flags are {:#x}", seen.rflags);
    Ok(())
}

/// Makes a thread in `slot` by a system call with DF set; returns its error.
fn retype_with_direction_flag(untyped: cap::Untyped, slot: u64) -> u64 {
    /// Label of Untyped_Retype: the first method of every release's interface.
    const RETYPE: u64 = 1;
    const CALL: i64 = -1;
    let buffer = ipc_buffer();
    buffer.caps_or_badges()[0].set(init_thread::slot::CNODE.bits());
    buffer.msg_regs()[4].set(slot);
    buffer.msg_regs()[5].set(1);
    let mut info = MessageInfo::new(RETYPE, 0, 1, 6).into_word();
    // SAFETY: as the bindings' own system call: every register that the kernel
    // changes is an operand, RSP is kept in R14, and the invocation makes an
    // object of memory that Rust does not know. The direction flag is clear again
    // before any other instruction of this program.
    unsafe {
        asm!(
            "mov r14, rsp",
            "std",
            "syscall",
            "cld",
            "mov rsp, r14",
            in("rdx") CALL,
            inout("rdi") untyped.bits() => _,
            inout("rsi") info,
            inout("r10") ObjectBlueprint::Tcb.ty() => _,
            inout("r8") 0_u64 => _,
            inout("r9") 0_u64 => _,
            inout("r15") 0_u64 => _,
            out("r14") _,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    MessageInfo::from_word(info).label()
}
