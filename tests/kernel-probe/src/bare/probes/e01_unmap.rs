//! E1: deleting or revoking a frame cap unmaps it, though other caps remain.

use sel4::{Fault, ObjectBlueprint, cap, init_thread};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::guest(lab);
    let original: cap::Granule = lab.make(ObjectBlueprint::_4k);
    let root = init_thread::slot::CNODE;

    let deleted = lab.copy(original);
    let address = lab.map(deleted);
    readable(&subject, address)?;
    root.absolute_cptr(deleted.cptr()).delete().expect("delete");
    unreadable(&subject, address, "deleted")?;

    let revoked = lab.copy(original);
    let address = lab.map(revoked);
    readable(&subject, address)?;
    root.absolute_cptr(original.cptr()).revoke().expect("revoke");
    unreadable(&subject, address, "revoked")
}

fn read(subject: &Subject, address: usize) -> crate::bare::subject::Outcome {
    let mut context = at(code::load());
    context.rdi = address as u64;
    subject.run(&context)
}

pub fn readable(subject: &Subject, address: usize) -> Seen {
    let outcome = read(subject, address);
    require!(outcome.is_end(), "reading a mapped page: {}", outcome.describe());
    Ok(())
}

pub fn unreadable(subject: &Subject, address: usize, how: &str) -> Seen {
    let outcome = read(subject, address);
    require!(!outcome.is_end(), "the page was still readable after its cap was {how}");
    let fault = match outcome.fault {
        Some(Fault::VmFault(fault)) => fault.addr,
        _ => 0,
    };
    // The low half is enough: E2 is another probe's matter.
    require!(
        fault as u32 == address as u32,
        "reading after the cap was {how}: {}",
        outcome.describe()
    );
    Ok(())
}
