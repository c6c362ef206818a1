//! IRET, RETF, far JMP and CALL: SDM vol. 2.

use super::rig::*;
use crate::{Outcome, Trap};

const IRETQ: [u8; 2] = [0x48, 0xcf];
const LRETQ: [u8; 2] = [0x48, 0xcb];
const USER_RSP: u64 = 0x5000;

fn push(rig: &mut Rig, words: &[u64]) {
    for (index, word) in words.iter().enumerate() {
        rig.machine.put_u64(STACK + 8 * index as u64, *word);
    }
}

fn iret_frame(cs: u16, rflags: u64, ss: u16) -> Rig {
    let mut rig = Rig::new();
    push(&mut rig, &[0x4800, cs.into(), rflags, USER_RSP, ss.into()]);
    rig
}

#[test]
fn iret_to_the_kernel() {
    let mut rig = iret_frame(KERNEL_CODE, 0x3246, KERNEL_DATA);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (0x4800, USER_RSP));
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x3246);
    assert_eq!(rig.registers.rflags, 0x246);
}

/// In 64-bit mode RSP and SS are popped within CPL 0 too; a null SS is fine there.
#[test]
fn iret_with_a_null_stack_segment() {
    let mut rig = iret_frame(KERNEL_CODE, 2, 0);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    assert_eq!(rig.state.ss.selector, 0);
    iret_frame(USER_CODE, 2, 3).faults(&IRETQ, 13, 0);
}

/// To user mode and back by an exception: CPL, selectors, flags, stacks.
#[test]
fn iret_to_user_mode_and_back() {
    let mut rig = iret_frame(USER_CODE, 0x202, USER_DATA);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    assert_eq!((rig.state.cpl(), rig.registers.rip, rig.registers.rsp), (3, 0x4800, USER_RSP));
    assert!(rig.state.interrupts_enabled());
    assert!(rig.state.ds.selector == 0 && rig.state.es.selector == 0, "SDM vol. 2B, RET");
    assert_eq!(rig.trap(Trap::Exception { vector: 0, error_code: 0 }), Outcome::Resume);
    let frame = rig.frame(0);
    assert_eq!(frame, [0x4800, USER_CODE.into(), 0x1_0202, USER_RSP, USER_DATA.into()]);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume, "the handler's address holds no code");
}

/// A user program cannot raise IOPL or IF, nor return inward.
#[test]
fn iret_from_user_mode() {
    let mut rig = Rig::user();
    push(&mut rig, &[0x4800, USER_CODE.into(), 0x3a02, USER_RSP, USER_DATA.into()]);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x802);
    let mut rig = Rig::user();
    push(&mut rig, &[0x4800, KERNEL_CODE.into(), 2, USER_RSP, KERNEL_DATA.into()]);
    rig.faults(&IRETQ, 13, KERNEL_CODE.into());
}

/// Vol. 2A, IRET: NT in 64-bit mode is #GP(0).
#[test]
fn iret_with_nested_task() {
    let mut rig = iret_frame(KERNEL_CODE, 2, KERNEL_DATA);
    rig.registers.rflags |= 0x4000;
    rig.faults(&IRETQ, 13, 0);
}

#[test]
fn iret_checks() {
    for (cs, ss, vector, code) in [
        (0, KERNEL_DATA, 13, 0),
        (GDT_LIMIT + 1, KERNEL_DATA, 13, GDT_LIMIT + 1),
        (KERNEL_DATA, KERNEL_DATA, 13, KERNEL_DATA),
        (KERNEL_CODE | 3, USER_DATA, 13, KERNEL_CODE),
        (USER_CODE & !3, KERNEL_DATA, 13, USER_CODE & !3),
        (ABSENT_CODE, KERNEL_DATA, 11, ABSENT_CODE),
        (CODE32, KERNEL_DATA, 13, CODE32),
        (USER_CODE, KERNEL_DATA, 13, KERNEL_DATA),
        (USER_CODE, USER_DATA & !3, 13, USER_DATA & !3),
        (KERNEL_CODE, ABSENT_DATA, 12, ABSENT_DATA),
    ] {
        let mut rig = iret_frame(cs, 2, ss);
        let before = (rig.state.cs, rig.state.ss, rig.state.cpl());
        rig.faults(&IRETQ, vector, code.into());
        assert_eq!((rig.state.cs, rig.state.ss, rig.state.cpl()), before, "{cs:x} {ss:x}");
    }
}

/// A non-canonical return address: #GP(0), with the old stack.
#[test]
fn iret_to_a_non_canonical_address() {
    let mut rig = iret_frame(KERNEL_CODE, 2, KERNEL_DATA);
    rig.machine.put_u64(STACK, 1 << 47);
    rig.faults(&IRETQ, 13, 0);
    assert_eq!(rig.frame_with_code(13)[4], STACK);
}

/// `iret` and `iretw` pop smaller words; 16 bits keep the upper flags.
#[test]
fn iret_widths() {
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x20_0000;
    let words: [u32; 5] = [0x4800, KERNEL_CODE.into(), 0x46, 0x5000, KERNEL_DATA.into()];
    for (index, word) in words.iter().enumerate() {
        rig.machine.put(STACK + 4 * index as u64, &word.to_le_bytes());
    }
    assert_eq!(rig.run(&[0xcf]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (0x4800, 0x5000));
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x46);
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x20_0000;
    for (index, word) in words.iter().enumerate() {
        rig.machine.put(STACK + 2 * index as u64, &(*word as u16).to_le_bytes());
    }
    assert_eq!(rig.run(&[0x66, 0xcf]), Outcome::Resume);
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x20_0046);
}

/// VM in the popped flags has no effect in 64-bit mode.
#[test]
fn iret_drops_vm() {
    let mut rig = iret_frame(USER_CODE, 0x2_0202, USER_DATA);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    assert_eq!(rig.registers.rflags, 0x202);
}

#[test]
fn far_return() {
    let mut rig = Rig::new();
    push(&mut rig, &[0x4800, KERNEL_CODE.into()]);
    assert_eq!(rig.run(&[0x48, 0xca, 0x20, 0]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (0x4800, STACK + 16 + 0x20));
    let mut rig = Rig::new();
    push(&mut rig, &[0x4800 | (KERNEL_CODE as u64) << 32]);
    assert_eq!(rig.run(&[0xcb]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (0x4800, STACK + 8));
}

/// To user mode the outer stack is popped after the parameters, which are
/// dropped from it too.
#[test]
fn far_return_to_user_mode() {
    let mut rig = Rig::new();
    push(&mut rig, &[0x4800, USER_CODE.into(), 0, 0, USER_RSP, USER_DATA.into()]);
    assert_eq!(rig.run(&[0x48, 0xca, 0x10, 0]), Outcome::Resume);
    assert_eq!((rig.state.cpl(), rig.registers.rsp), (3, USER_RSP + 0x10));
    assert_eq!(rig.state.ss.selector, USER_DATA);
}

#[test]
fn far_return_faults() {
    for (cs, vector, code) in [(0, 13, 0), (TASK, 13, TASK), (ABSENT_CODE, 11, ABSENT_CODE)] {
        let mut rig = Rig::new();
        push(&mut rig, &[0x4800, cs.into()]);
        rig.faults(&LRETQ, vector, code.into());
        assert_eq!(rig.state.cs.selector, KERNEL_CODE);
    }
    let mut rig = Rig::new();
    rig.registers.rsp = RAM as u64 - 8;
    rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
    rig.faults(&LRETQ, 14, 0);
}

#[test]
fn far_jumps_and_calls() {
    let mut rig = Rig::new();
    rig.registers.rdi = DATA;
    rig.machine.put_u64(DATA, 0x4800 | u64::from(KERNEL_CODE) << 32);
    assert_eq!(rig.run(&[0xff, 0x2f]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (0x4800, STACK));
    rig.registers.rip = CODE;
    assert_eq!(rig.run(&[0xff, 0x1f]), Outcome::Resume);
    assert_eq!(rig.registers.rsp, STACK - 8);
    assert_eq!(rig.stack(), [(CODE + 2) | u64::from(KERNEL_CODE) << 32]);
    rig.registers.rip = CODE;
    rig.machine.put(DATA + 8, &KERNEL_CODE.to_le_bytes());
    rig.machine.put_u64(DATA, 0x4900);
    assert_eq!(rig.run(&[0x48, 0xff, 0x1f]), Outcome::Resume);
    assert_eq!(rig.stack(), [CODE + 3, KERNEL_CODE.into()]);
}

/// Same privilege only: DPL must be the CPL, or at most that if conforming.
#[test]
fn far_jump_privilege() {
    for (mut rig, selector, reaches) in [
        (Rig::user(), KERNEL_CODE, false),
        (Rig::user(), CONFORMING, true),
        (Rig::user(), USER_CODE, true),
        (Rig::new(), USER_CODE, false),
        (Rig::new(), KERNEL_CODE | 3, false),
        (Rig::new(), CODE32, false),
        (Rig::new(), 0, false),
    ] {
        rig.registers.rdi = DATA;
        rig.machine.put_u64(DATA, 0x4800 | u64::from(selector) << 32);
        if reaches {
            let cpl = rig.state.cpl();
            assert_eq!(rig.run(&[0xff, 0x2f]), Outcome::Resume);
            assert_eq!((rig.registers.rip, rig.state.cpl()), (0x4800, cpl));
            assert_eq!(rig.state.cs.selector & 3, cpl.into());
        } else {
            rig.faults(&[0xff, 0x2f], 13, (selector & !3).into());
        }
    }
}
