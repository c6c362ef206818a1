//! E14: SetSpace leaves the thread's CSpace root alone where the new one is the
//! same capability.
#![allow(unsafe_code, reason = "the time-stamp counter is read by an intrinsic")]

use core::arch::x86_64::_rdtsc;

use sel4::{ObjectBlueprint, cap, init_thread};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

const TIMES: usize = 8;

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::guest(lab);
    let root = init_thread::slot::CNODE;
    let other: cap::CNode = lab.make(ObjectBlueprint::CNode { size_bits: 4 });
    let (same, alternating) =
        (cost(&subject, lab, [root, root]), cost(&subject, lab, [other, root]));
    require!(
        same * 8 < alternating * 7,
        "{TIMES} times the same CSpace root cost {same} instructions, two in turn {alternating}"
    );
    // Its faults go by way of the last one.
    let outcome = subject.run(&at(code::steps()));
    require!(outcome.is_end(), "with its CSpace root set again: {}", outcome.describe());
    Ok(())
}

/// Instructions of setting these roots in turn. Probes run with the counter counting them.
fn cost(subject: &Subject, lab: &Lab, roots: [cap::CNode; 2]) -> u64 {
    // SAFETY: the counter can be read at user level, unless CR4.TSD is set.
    let now = || unsafe { _rdtsc() };
    let begin = now();
    for root in roots.into_iter().cycle().take(TIMES) {
        let vspace = init_thread::slot::VSPACE;
        let set = subject.tcb.tcb_set_space(lab.faults.cptr(), root, None, vspace);
        set.expect("spaces of a subject");
    }
    now() - begin
}
