//! E5: an unknown system call reports, and its reply restores, every register.
//!
//! The subject has an IPC buffer, so that E8 does not apply to it.

use sel4::fault::UnknownSyscall;
use sel4::{Fault, UserContext, ipc_buffer};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{PLAIN_FLAGS, Subject};
use crate::bare::verdict::Seen;
use crate::require;

/// A system call number that no kernel has.
const UNKNOWN: u64 = 0x7777;

/// Carry, parity, adjust, zero and overflow besides the plain flags.
const REPLY_FLAGS: u64 = PLAIN_FLAGS | 0x855;

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::native(lab);
    // Leave other values in the context, which a stale report would tell.
    let outcome = subject.run(&context(0x5a5a_0000, code::syscall_after()));
    require!(outcome.is_end(), "before the system call: {}", outcome.describe());

    let given = UserContext { rdx: UNKNOWN, ..context(0x1111_0000, code::syscall()) };
    let outcome = subject.run(&given);
    let Some(Fault::UnknownSyscall(seen)) = outcome.fault else {
        require!(false, "an unknown system call: {}", outcome.describe());
        return Ok(());
    };
    let expected = UnknownSyscall { syscall: UNKNOWN, ..message(&after_syscall(&given)) };
    compare("reported", &seen.into_words(), &expected.into_words())?;

    let reply = UserContext { rflags: REPLY_FLAGS, ..context(0x2222_0000, code::syscall_after()) };
    let (info, registers) = message(&reply).stage_reply(ipc_buffer());
    let received = lab.faults.reply_recv_with_mrs(info, registers);
    let fault = Fault::decode(&received, ipc_buffer());
    require!(matches!(fault, Some(Fault::UserException(_))), "after the reply: {fault:?}");
    let restored = message(&subject.registers());
    compare("restored", &restored.into_words(), &message(&reply).into_words())
}

/// Registers that all differ.
fn context(base: u64, rip: u64) -> UserContext {
    let mut context = UserContext::default();
    for (index, word) in context.words_mut().iter_mut().enumerate().take(18) {
        *word = base + 0x100 * (index as u64 + 1) + 8;
    }
    context.rip = rip;
    context.rflags = PLAIN_FLAGS;
    context
}

/// What the processor makes of RCX and R11 at a system call.
fn after_syscall(context: &UserContext) -> UserContext {
    UserContext { rcx: context.rip + 2, r11: context.rflags, ..*context }
}

/// The registers in the order of the fault message.
fn message(c: &UserContext) -> UnknownSyscall {
    UnknownSyscall {
        rax: c.rax,
        rbx: c.rbx,
        rcx: c.rcx,
        rdx: c.rdx,
        rsi: c.rsi,
        rdi: c.rdi,
        rbp: c.rbp,
        r8: c.r8,
        r9: c.r9,
        r10: c.r10,
        r11: c.r11,
        r12: c.r12,
        r13: c.r13,
        r14: c.r14,
        r15: c.r15,
        rip: c.rip,
        rsp: c.rsp,
        rflags: c.rflags,
        syscall: 0,
    }
}

/// Names of the words of the message.
const NAMES: [&str; UnknownSyscall::WORDS] = [
    "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R8", "R9", "R10", "R11", "R12", "R13", "R14",
    "R15", "RIP", "RSP", "RFLAGS", "number",
];

fn compare(what: &str, seen: &[u64], expected: &[u64]) -> Seen {
    for ((name, seen), expected) in NAMES.iter().zip(seen).zip(expected) {
        require!(seen == expected, "{name} {what} as {seen:#x} instead of {expected:#x}");
    }
    Ok(())
}
