//! E8: a thread without an IPC buffer makes no system calls.

use sel4::{Fault, MessageInfo, UserContext};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

/// All calls of the kernel, the debug kernel's, and numbers beyond them.
const NUMBERS: [i64; 13] = [-7, -6, -4, -1, -2, -3, -5, -8, -9, -22, 0, 0xffff_ffff, i64::MAX];

/// The number of a receive would take faults away from the root task.
fn receives(number: i64) -> bool {
    matches!(number, -2 | -5 | -8)
}

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::guest(lab);
    let faults = lab.faults.bits();
    for number in NUMBERS {
        for target in [0, u64::MAX, faults] {
            if target == faults && receives(number) {
                continue;
            }
            one(&subject, number, target)?;
        }
    }
    Ok(())
}

fn one(subject: &Subject, number: i64, target: u64) -> Seen {
    let given = UserContext {
        rdx: number as u64,
        rdi: target,
        // Would arrive as a VMFault message if it were sent.
        rsi: MessageInfo::new(5, 0, 0, 4).into_word(),
        rsp: 0x7766_5544_3328,
        r10: 0x1010,
        ..at(code::syscall())
    };
    let outcome = subject.run(&given);
    let Some(Fault::UnknownSyscall(seen)) = outcome.fault else {
        require!(false, "system call {number} on {target:#x}: {}", outcome.describe());
        return Ok(());
    };
    require!(
        (seen.syscall, seen.rip, seen.rdi, seen.rsi, seen.r10)
            == (given.rdx, given.rip, given.rdi, given.rsi, given.r10),
        "system call {number} on {target:#x} reported other registers"
    );
    // An empty reply resumes at the instruction itself; skip it and go on.
    let mut registers = subject.registers();
    registers.rip = code::syscall_after();
    let outcome = subject.run(&registers);
    require!(outcome.is_end(), "after system call {number}: {}", outcome.describe());
    Ok(())
}
