//! E13: a guest's fault goes straight to a handler that waits, and the answer
//! straight back; whatever is unusual goes the general way.
#![allow(unsafe_code, reason = "the time-stamp counter is read by an intrinsic")]

use core::arch::x86_64::_rdtsc;

use sel4::{MessageInfo, ObjectBlueprint, UserContext, cap, init_thread};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Outcome, PLAIN_FLAGS, Subject, at};
use crate::bare::verdict::{Seen, Text};
use crate::require;

/// The root task's priority: who answers at the asker's own is switched from at once.
const ROOTS: u8 = 255;
const ROUNDS: u32 = 16;
/// Exception number of `ud2`.
const INVALID_OPCODE: u64 = 6;
/// seL4's number of a receive.
const RECEIVE: i64 = -5;

pub fn probe(lab: &mut Lab) -> Seen {
    cheaper(&Subject::guest(lab), &Subject::native(lab))?;
    refused(lab)?;
    lower_priority(lab)?;
    busy(lab)
}

/// Instructions from the first answer on, until the thread has faulted
/// [`ROUNDS`] times more at one place. Probes run with the counter counting them.
fn cost(subject: &Subject) -> Result<u64, Text> {
    subject.set_priority(ROOTS);
    let mut outcome = subject.run(&at(code::steps()));
    // SAFETY: the counter can be read at user level, unless CR4.TSD is set.
    let now = || unsafe { _rdtsc() };
    let begin = now();
    for _ in 0..ROUNDS {
        require_end(&outcome)?;
        let Some(exception) = outcome.exception() else { break };
        outcome = subject.resume(&exception);
    }
    require_end(&outcome)?;
    Ok(now() - begin)
}

fn require_end(outcome: &Outcome) -> Seen {
    require!(outcome.is_end(), "a fault to count became {}", outcome.describe());
    Ok(())
}

/// The threads do the same; only the guest takes the short way.
fn cheaper(guest: &Subject, native: &Subject) -> Seen {
    let (guest, native) = (cost(guest)?, cost(native)?);
    require!(
        guest * 4 < native * 3,
        "{ROUNDS} faults of a guest cost {guest} instructions, a native thread's {native}"
    );
    Ok(())
}

/// An answer with a label stops the thread for good; resumed, it faults again.
fn refused(lab: &mut Lab) -> Seen {
    let (guest, other) = (Subject::guest(lab), Subject::native(lab));
    guest.set_priority(ROOTS);
    guest.run(&at(code::steps()));
    other.start(&at(code::load()));
    let registers = [code::steps(), 0, PLAIN_FLAGS, 0];
    let next = guest.outcome(&guest.answer(MessageInfo::new(1, 0, 0, 3), registers));
    require!(!next.is_end(), "a guest that was told to stop went on");
    guest.tcb.tcb_resume().expect("a thread of the lab");
    let again = guest.next();
    require!(again.is_end(), "resumed, it came with {}", again.describe());
    Ok(())
}

/// A thread that waits on an endpoint, a guest whose faults go there, and one
/// that is runnable besides.
struct Three {
    handler: Subject,
    guest: Subject,
    besides: Subject,
    endpoint: cap::Endpoint,
}

impl Three {
    fn new(lab: &mut Lab) -> Self {
        let endpoint: cap::Endpoint = lab.make(ObjectBlueprint::Endpoint);
        let three = Self {
            handler: Subject::native(lab),
            guest: Subject::guest(lab),
            besides: Subject::native(lab),
            endpoint,
        };
        let (root, vspace) = (init_thread::slot::CNODE, init_thread::slot::VSPACE);
        let spaces = three.guest.tcb.tcb_set_space(endpoint.cptr(), root, None, vspace);
        spaces.expect("spaces of a guest");
        three.besides.set_priority(75);
        three
    }

    fn receive(&self) -> UserContext {
        let (rdx, rdi) = (RECEIVE as u64, self.endpoint.bits());
        UserContext { rdx, rdi, ..at(code::syscall()) }
    }

    /// The next to stop must be the one besides, at its `load`; then the handler,
    /// with the guest's fault in its registers.
    fn in_order(&self) -> Seen {
        let first = self.besides.next();
        require!(!first.is_end(), "a handler of lower priority ran first");
        let then = self.handler.next();
        let seen = self.handler.registers();
        require!(
            then.is_end() && seen.r10 == code::steps_end() && seen.r15 == INVALID_OPCODE,
            "the handler saw {:#x}, {:#x}: {}",
            seen.r10,
            seen.r15,
            then.describe()
        );
        Ok(())
    }
}

/// A handler that waits and has a lower priority runs when its turn comes.
fn lower_priority(lab: &mut Lab) -> Seen {
    let three = Three::new(lab);
    three.handler.set_priority(200);
    three.handler.start(&three.receive());
    // Stops once the handler waits.
    three.besides.run(&at(code::load()));
    three.handler.set_priority(50);
    three.guest.start(&at(code::steps()));
    three.besides.start(&at(code::load()));
    three.in_order()
}

/// A handler that does not wait finds the fault when it does.
fn busy(lab: &mut Lab) -> Seen {
    let three = Three::new(lab);
    three.handler.set_priority(50);
    three.guest.start(&at(code::steps()));
    three.besides.start(&at(code::load()));
    three.handler.start(&three.receive());
    three.in_order()
}
