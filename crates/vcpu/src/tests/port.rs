//! IN, OUT, INS, OUTS: SDM vol. 2 and vol. 1, §18.5.

use super::rig::*;
use crate::{Completion, Exit, Outcome};

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.registers.rdx = 0xffff_ffff_ffff_03f8;
    rig.registers.rax = 0x1122_3344_5566_7788;
    rig
}

#[test]
fn out_sizes() {
    for (code, port, size, value) in [
        (&[0xee][..], 0x3f8, 1, 0x88),
        (&[0x66, 0xef], 0x3f8, 2, 0x7788),
        (&[0xef], 0x3f8, 4, 0x5566_7788),
        (&[0x48, 0xef], 0x3f8, 4, 0x5566_7788),
        (&[0xe6, 0x80], 0x80, 1, 0x88),
        (&[0xe7, 0xf4], 0xf4, 4, 0x5566_7788),
    ] {
        let mut rig = rig();
        assert_eq!(rig.run(code), Outcome::Exit(Exit::PortOut { port, size, value }));
        assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
        assert_eq!(rig.registers.rip, CODE + code.len() as u64);
        assert_eq!(rig.registers.rax, 0x1122_3344_5566_7788);
    }
}

#[test]
fn in_sizes() {
    for (code, size, rax) in [
        (&[0xec][..], 1, 0x1122_3344_5566_77ff),
        (&[0x66, 0xed], 2, 0x1122_3344_5566_ffff),
        (&[0xed], 4, 0xffff_ffff),
    ] {
        let mut rig = rig();
        assert_eq!(rig.run(code), Outcome::Exit(Exit::PortIn { port: 0x3f8, size }));
        assert_eq!(rig.complete(Completion::Value(u64::MAX)), Outcome::Resume);
        assert_eq!((rig.registers.rax, rig.registers.rip), (rax, CODE + code.len() as u64));
    }
}

/// Vol. 1, §18.5.2: beyond IOPL the TSS bitmap decides; all bits of the
/// access must be clear, and lie within the limit.
#[test]
fn the_permission_bitmap() {
    let map = TSS + 0x68;
    let mut rig = Rig::user();
    rig.state.tr.limit = 0x68 + 0x81;
    rig.registers.rdx = 0x3fe;
    rig.machine.put(map + 0x7f, &[0x40, 0]);
    rig.faults(&[0xee], 13, 0);
    let mut rig = Rig::user();
    rig.state.tr.limit = 0x68 + 0x81;
    rig.registers.rdx = 0x3ff;
    rig.machine.put(map + 0x7f, &[0x40, 1]);
    assert!(matches!(rig.run(&[0xee]), Outcome::Exit(_)));
    let mut rig = Rig::user();
    rig.state.tr.limit = 0x68 + 0x81;
    rig.registers.rdx = 0x3ff;
    rig.machine.put(map + 0x7f, &[0x40, 1]);
    rig.faults(&[0x66, 0xef], 13, 0); // the second byte's bit is in the next byte
    let mut rig = Rig::user();
    rig.faults(&[0xee], 13, 0); // no bitmap
    let mut rig = Rig::user();
    rig.state.rflags = 0x3000;
    assert!(matches!(rig.run(&[0xee]), Outcome::Exit(_)));
}

#[test]
fn outs() {
    let mut rig = rig();
    rig.registers.rsi = DATA;
    rig.machine.put(DATA, b"ab");
    let exit = |value| Outcome::Exit(Exit::PortOut { port: 0x3f8, size: 1, value });
    assert_eq!(rig.run(&[0x6e]), exit(0x61));
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!((rig.registers.rsi, rig.registers.rip), (DATA + 1, CODE + 1));
}

/// REP counts in RCX and leaves RIP in place until it is zero.
#[test]
fn repeated_outs() {
    let mut rig = rig();
    (rig.registers.rsi, rig.registers.rcx) = (DATA + 2, 2);
    rig.registers.rflags |= 0x400;
    rig.machine.put(DATA, &[1, 0, 2, 0]);
    for (value, rip) in [(2, CODE), (1, CODE + 3)] {
        let exit = Exit::PortOut { port: 0x3f8, size: 2, value };
        assert_eq!(rig.run(&[0xf3, 0x66, 0x6f]), Outcome::Exit(exit));
        assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
        assert_eq!(rig.registers.rip, rip);
    }
    assert_eq!((rig.registers.rsi, rig.registers.rcx), (DATA - 2, 0));
    rig.registers.rip = CODE;
    rig.step(&[0xf3, 0x66, 0x6f]);
}

/// SDM vol. 2B, REP: with the last element RIP is behind the instruction, so a single
/// step traps once for each (QEMU 7.2 with -icount once more).
#[test]
fn repetitions_are_stepped() {
    let mut rig = rig();
    (rig.registers.rsi, rig.registers.rcx) = (DATA, 2);
    for rip in [CODE, CODE + 2] {
        rig.registers.rip = CODE;
        rig.registers.rsp = STACK;
        rig.registers.rflags |= 0x100;
        assert!(matches!(rig.run(&[0xf3, 0x6e]), Outcome::Exit(_)));
        assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
        assert_eq!(rig.frame(1)[0], rip);
    }
    assert_eq!(rig.registers.rcx, 0);
}

#[test]
fn ins() {
    let mut rig = rig();
    (rig.registers.rdi, rig.registers.rcx) = (0xffff_ffff_0000_0000 | DATA, 1);
    let code = [0x67, 0xf3, 0x6d];
    assert_eq!(rig.run(&code), Outcome::Exit(Exit::PortIn { port: 0x3f8, size: 4 }));
    assert_eq!(rig.complete(Completion::Value(0x1234_5678)), Outcome::Resume);
    assert_eq!(rig.machine.u64(DATA), 0x1234_5678);
    assert_eq!((rig.registers.rdi, rig.registers.rcx), (DATA + 4, 0), "32-bit registers");
    assert_eq!(rig.registers.rip, CODE + 3);
}

/// A target that cannot be written faults before the port is read.
#[test]
fn ins_probes_first() {
    let mut rig = rig();
    rig.registers.rdi = RAM as u64 - 1;
    rig.faults(&[0x66, 0x6d], 14, 2);
    assert_eq!(rig.state.cr2, RAM as u64);
}

#[test]
fn outs_with_a_segment_override() {
    let mut rig = rig();
    (rig.registers.rsi, rig.registers.fs_base) = (0x10, DATA);
    rig.machine.put(DATA + 0x10, &[7]);
    let exit = Exit::PortOut { port: 0x3f8, size: 1, value: 7 };
    assert_eq!(rig.run(&[0x64, 0x6e]), Outcome::Exit(exit));
}
