//! E2: the address of a VM fault has 64 bits.

use sel4::Fault;

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

/// Canonical, not mapped, and different in every byte that could be cut off.
const ADDRESSES: [u64; 2] = [0x1234_5678_9ab8, 0xffff_8765_4321_0fe8];

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::guest(lab);
    for address in ADDRESSES {
        let mut context = at(code::load());
        context.rdi = address;
        let outcome = subject.run(&context);
        require!(
            matches!(outcome.fault, Some(Fault::VmFault(fault)) if fault.addr == address),
            "reading {address:#x}: {}",
            outcome.describe()
        );
    }
    Ok(())
}
