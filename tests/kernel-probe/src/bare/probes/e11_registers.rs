//! E11: fault messages of a thread without an IPC buffer carry its registers,
//! and replies set them.

use sel4::fault::{self, ALL_REGISTERS, GENERAL_REGISTERS, REPLY_REGISTERS, UnknownSyscall};
use sel4::{Fault, MessageInfo, RecvWithMRs, UserContext, ipc_buffer};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{PLAIN_FLAGS, Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

/// Neither mapped nor canonical in the wrong half.
const NOWHERE: u64 = 0x1234_5678_9ab8;
const STACK: u64 = 0x1111_2222_3330;
const CARRY: u64 = 1;

pub fn probe(lab: &mut Lab) -> Seen {
    let guest = Subject::guest(lab);
    exception(&guest)?;
    page_fault(&guest)?;
    system_call(&guest)?;
    native(&Subject::native(lab))
}

/// Registers at `rip`, each with a value of its own.
fn distinct(rip: u64, seed: u64) -> UserContext {
    let mut context = UserContext { rsp: STACK + 8 * seed, rflags: PLAIN_FLAGS | CARRY, ..at(rip) };
    let general = &mut context.words_mut()[3..REPLY_REGISTERS];
    for (word, number) in general.iter_mut().zip(1..) {
        *word = seed * 1000 + number;
    }
    context
}

/// The general registers as an exception's message tells them.
fn told(message: &RecvWithMRs) -> Option<[u64; GENERAL_REGISTERS]> {
    fault::general_registers(message, ipc_buffer())
        .map(|registers| core::array::from_fn(|index| registers[index].get()))
}

/// Answers the fault with 18 registers and waits for the next one.
fn answer(subject: &Subject, registers: &UserContext) -> RecvWithMRs {
    let words = registers.words();
    for (register, word) in ipc_buffer().msg_regs()[4..].iter().zip(&words[4..REPLY_REGISTERS]) {
        register.set(*word);
    }
    let info = MessageInfo::new(0, 0, 0, REPLY_REGISTERS);
    subject.answer(info, [words[0], words[1], words[2], words[3]])
}

fn exception(subject: &Subject) -> Seen {
    let first = distinct(code::steps(), 1);
    subject.start(&first);
    let message = subject.wait();
    require!(
        told(&message).is_some_and(|told| told == first.words()[3..REPLY_REGISTERS]),
        "an exception's message has {} words",
        message.info.length()
    );
    let second = distinct(code::steps(), 2);
    let message = answer(subject, &second);
    let seen = subject.registers();
    require!(
        subject.outcome(&message).is_end()
            && seen.words()[1..REPLY_REGISTERS] == second.words()[1..REPLY_REGISTERS],
        "a reply to an exception gave RAX {:#x} and R15 {:#x}",
        seen.rax,
        seen.r15
    );
    Ok(())
}

fn page_fault(subject: &Subject) -> Seen {
    let mut first = distinct(code::load(), 3);
    first.rdi = NOWHERE;
    subject.start(&first);
    let message = subject.wait();
    let sp_and_flags = match subject.outcome(&message).fault {
        Some(Fault::VmFault(fault)) => fault.sp_and_flags,
        _ => None,
    };
    require!(
        sp_and_flags == Some([first.rsp, first.rflags])
            && told(&message).is_some_and(|told| told == first.words()[3..REPLY_REGISTERS]),
        "a page fault tells {sp_and_flags:x?}"
    );
    let second = distinct(code::steps(), 4);
    let message = answer(subject, &second);
    let seen = subject.registers();
    require!(
        subject.outcome(&message).is_end()
            && seen.words()[1..REPLY_REGISTERS] == second.words()[1..REPLY_REGISTERS],
        "a reply to a page fault gave RAX {:#x} and R15 {:#x}",
        seen.rax,
        seen.r15
    );
    Ok(())
}

/// An unknown system call tells the bases, and replies of 20 words set them.
fn system_call(subject: &Subject) -> Seen {
    let bases = |context: &UserContext| [context.fs_base, context.gs_base];
    let with_bases =
        |context: UserContext, base: u64| UserContext { fs_base: base, gs_base: !base, ..context };
    let first = with_bases(distinct(code::syscall(), 7), NOWHERE);
    subject.start(&first);
    let message = subject.wait();
    if message.info.length() == UnknownSyscall::WORDS + 1 {
        return Ok(()); // one base: without E6 threads have no other, as its probe says
    }
    require!(
        fault::bases(&message, ipc_buffer()) == Some(bases(&first)),
        "a system call's message has {} words",
        message.info.length()
    );
    // Of a system call the reply begins with RAX to R15, of an exception with RIP.
    let second = with_bases(distinct(code::steps(), 8), 0x4000);
    let words = second.words();
    let reply: [u64; ALL_REGISTERS] = core::array::from_fn(|index| match index {
        0..GENERAL_REGISTERS => words[index + 3],
        GENERAL_REGISTERS..REPLY_REGISTERS => words[index - GENERAL_REGISTERS],
        _ => words[index],
    });
    let message = answer_all(subject, &reply);
    let seen = subject.registers();
    require!(
        subject.outcome(&message).is_end()
            && bases(&seen) == bases(&second)
            && seen.r15 == second.r15,
        "a reply to a system call set the bases to {:x?}",
        bases(&seen)
    );
    let third = with_bases(distinct(code::steps(), 9), 0x8000);
    let message = answer_all(subject, third.words());
    let seen = subject.registers();
    require!(
        subject.outcome(&message).is_end() && bases(&seen) == bases(&third),
        "a reply to an exception set the bases to {:x?}",
        bases(&seen)
    );
    Ok(())
}

/// Answers with 20 words, and waits for the next fault.
fn answer_all(subject: &Subject, words: &[u64; ALL_REGISTERS]) -> RecvWithMRs {
    for (register, word) in ipc_buffer().msg_regs()[4..].iter().zip(&words[4..]) {
        register.set(*word);
    }
    let info = MessageInfo::new(0, 0, 0, ALL_REGISTERS);
    subject.answer(info, [words[0], words[1], words[2], words[3]])
}

/// A thread with an IPC buffer is treated as ever.
fn native(subject: &Subject) -> Seen {
    let first = distinct(code::steps(), 5);
    subject.start(&first);
    let message = subject.wait();
    require!(
        message.info.length() == 5,
        "a native thread's exception has {} words",
        message.info.length()
    );
    let message = answer(subject, &distinct(code::steps(), 6));
    let seen = subject.registers();
    require!(
        subject.outcome(&message).is_end() && seen.rax == first.rax && seen.r15 == first.r15,
        "a reply to a native thread set RAX to {:#x}",
        seen.rax
    );
    Ok(())
}
