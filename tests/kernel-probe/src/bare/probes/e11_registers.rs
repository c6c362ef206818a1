//! E11: fault messages of a thread without an IPC buffer carry its registers,
//! and replies set them.

use sel4::fault::{self, GENERAL_REGISTERS, REPLY_REGISTERS};
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
