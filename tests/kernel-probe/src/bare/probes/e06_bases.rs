//! E6: FS and GS base are registers of the thread.

use core::sync::atomic::AtomicU64;

use sel4::{Fault, UserContext};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

/// Words of the context with both bases.
const WORDS: usize = 20;

/// The user data selector of the kernel's descriptor table; its base is 0.
const USER_DATA: u64 = 0x33;

/// Number of the system call Yield.
const YIELD: u64 = -7_i64 as u64;

static FIRST: AtomicU64 = AtomicU64::new(0x1122_3344_5566_7788);
static SECOND: AtomicU64 = AtomicU64::new(0x99aa_bbcc_ddee_ff00);

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::native(lab);
    let read = subject.tcb.tcb_read_registers_into(false, WORDS, &mut UserContext::default());
    require!(read.is_ok(), "reading {WORDS} words of registers: {read:?}");
    values(&subject)?;
    in_use(&subject)?;
    let other = Subject::native(lab);
    in_use(&other)?;
    in_use(&subject)?;
    shared(&subject, &other)
}

/// Canonical values are kept, others become zero.
fn values(subject: &Subject) -> Seen {
    for (written, expected) in [
        (0x0000_7fff_ffff_ffff, 0x0000_7fff_ffff_ffff),
        (0xffff_8000_0000_0000, 0xffff_8000_0000_0000),
        (0xffff_8880_1234_5678, 0xffff_8880_1234_5678),
        (0x0000_8000_0000_0000, 0),
        (0xffff_7fff_ffff_ffff, 0),
    ] {
        let context = UserContext { fs_base: written, gs_base: written, ..at(code::load()) };
        subject.tcb.tcb_write_all_registers(false, &context).expect("registers");
        let seen = subject.registers();
        require!(
            seen.fs_base == expected && seen.gs_base == expected,
            "bases written as {written:#x} are {:#x} and {:#x}",
            seen.fs_base,
            seen.gs_base
        );
    }
    Ok(())
}

/// The thread reads through its bases, either way round.
fn in_use(subject: &Subject) -> Seen {
    for (fs, gs) in [(&FIRST, &SECOND), (&SECOND, &FIRST), (&FIRST, &FIRST)] {
        let context =
            UserContext { fs_base: address(fs), gs_base: address(gs), ..at(code::bases()) };
        let outcome = subject.run(&context);
        require!(outcome.is_end(), "reading through the bases: {}", outcome.describe());
        let seen = subject.registers();
        require!(
            seen.rax == value(fs) && seen.rbx == value(gs),
            "read {:#x} through FS and {:#x} through GS",
            seen.rax,
            seen.rbx
        );
    }
    Ok(())
}

/// One thread zeroes its own GS base by loading the selector; another thread with
/// the same value, switched to directly, still has it.
fn shared(zeroing: &Subject, reading: &Subject) -> Seen {
    let base = UserContext { rdx: YIELD, gs_base: address(&FIRST), ..UserContext::default() };
    let zero = UserContext { rip: code::zero_gs(), rflags: 0x202, rax: USER_DATA, ..base };
    reading.start(&UserContext { rip: code::yield_gs(), rflags: 0x202, ..base });
    zeroing.start(&zero);
    let outcome = reading.next();
    zeroing.tcb.tcb_suspend().expect("suspend");
    if let Some(Fault::VmFault(fault)) = outcome.fault {
        require!(false, "another thread zeroed this one's GS base: VMFault at {:#x}", fault.addr);
    }
    require!(outcome.is_end(), "two threads with one GS base: {}", outcome.describe());
    let seen = reading.registers().rbx;
    require!(seen == value(&FIRST), "two threads with one GS base: read {seen:#x}");
    Ok(())
}

fn address(word: &AtomicU64) -> u64 {
    word.as_ptr() as u64
}

fn value(word: &AtomicU64) -> u64 {
    word.load(core::sync::atomic::Ordering::Relaxed)
}
