//! E10: on a processor with UMIP, user level is not told where the tables are.

use core::arch::x86_64::__cpuid_count;

use sel4::{ObjectBlueprint, UserContext, cap};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Verdict;
use crate::text;

/// Exception number of a general protection fault.
const GENERAL_PROTECTION: u64 = 13;

pub fn probe(lab: &mut Lab) -> Verdict {
    // CPUID leaf 7, ECX bit 2.
    if __cpuid_count(0, 0).eax < 7 || __cpuid_count(7, 0).ecx & 1 << 2 == 0 {
        return Verdict::Unknown(text!("this processor has no UMIP"));
    }
    let subject = Subject::guest(lab);
    let frame: cap::Granule = lab.make(ObjectBlueprint::_4k);
    let address = lab.map(frame);
    let outcome = subject.run(&UserContext { rdi: address as u64, ..at(code::sidt()) });
    match outcome.exception() {
        Some(exception) if exception.number == GENERAL_PROTECTION => Verdict::Present,
        _ if outcome.is_end() => {
            Verdict::Missing(text!("sidt told {:#x}", subject.registers().rax))
        }
        _ => Verdict::Missing(text!("sidt: {}", outcome.describe())),
    }
}
