//! E9: the flags that a user program can set survive WriteRegisters and replies.

use sel4::UserContext;
use sel4::fault::UserException;

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{PLAIN_FLAGS, Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

const TF: u64 = 1 << 8;
const NT: u64 = 1 << 14;
const AC: u64 = 1 << 18;
const ID: u64 = 1 << 21;

/// Flags that no user program can set: IOPL, RF, VM, VIF, VIP and what lies above.
const FORBIDDEN: u64 = 0x3000 | 1 << 16 | 1 << 17 | 3 << 19 | 1 << 22 | 1 << 63;

/// Exception number of a single step.
const DEBUG: u64 = 1;

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::guest(lab);
    for kept in [TF, NT, AC, ID, TF | NT | AC | ID] {
        let context = UserContext { rflags: kept | FORBIDDEN, ..at(code::steps()) };
        subject.tcb.tcb_write_all_registers(false, &context).expect("registers");
        let seen = subject.registers().rflags;
        let expected = kept | PLAIN_FLAGS;
        require!(seen == expected, "flags {:#x} were written as {seen:#x}", context.rflags);
    }

    // They are in force: with TF the thread takes one step.
    let context = UserContext { rflags: PLAIN_FLAGS | TF | NT | AC | ID, ..at(code::steps()) };
    let outcome = subject.run(&context);
    let step = outcome.exception().filter(|e| (e.number, e.ip) == (DEBUG, code::steps_after()));
    let Some(step) = step else {
        require!(false, "with TF set: {}", outcome.describe());
        return Ok(());
    };
    require!(step.flags == context.rflags, "stepped with the flags {:#x}", step.flags);

    // A reply of three words sets them too, and clears them.
    let outcome = subject.resume(&UserException { ip: code::steps(), ..step });
    let again = outcome.exception().map(|e| (e.number, e.ip, e.flags));
    require!(
        again == Some((DEBUG, code::steps_after(), context.rflags)),
        "after a reply with TF: {}",
        outcome.describe()
    );
    let outcome = subject.resume(&UserException { flags: PLAIN_FLAGS, ..step });
    require!(outcome.is_end(), "after a reply without TF: {}", outcome.describe());
    Ok(())
}
