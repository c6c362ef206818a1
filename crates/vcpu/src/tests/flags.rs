//! PUSHF, POPF and RF: SDM vol. 2B and vol. 3B, §17.3.1.1.

use super::rig::*;
use crate::{Outcome, Trap, VcpuState};

const PUSHFQ: [u8; 1] = [0x9c];
const POPFQ: [u8; 1] = [0x9d];
const PUSHFW: [u8; 2] = [0x66, 0x9c];
const POPFW: [u8; 2] = [0x66, 0x9d];
const IRETQ: [u8; 2] = [0x48, 0xcf];

/// SDM vol. 2B, PUSHF: the virtual IF and IOPL, without RF and VM.
#[test]
fn pushf_shows_the_guests_flags() {
    let mut rig = Rig::new();
    rig.registers.rflags = 0x25_4ed7;
    rig.step(&PUSHFQ);
    assert_eq!(rig.registers.rsp, STACK - 8);
    assert_eq!(rig.machine.u64(STACK - 8), 0x24_4cd7, "IF is off, RF is not shown");
    rig.state.rflags = 0x3200;
    rig.step(&PUSHFQ);
    assert_eq!(rig.machine.u64(STACK - 16), 0x24_7ed7);
}

/// SDM vol. 2B, PUSHF: 16 bits with an operand-size prefix, and only those.
#[test]
fn pushf_of_16_bits() {
    let mut rig = Rig::new();
    rig.machine.put_u64(STACK - 8, u64::MAX);
    rig.registers.rflags = 0x20_0246;
    rig.state.rflags = 0x200;
    rig.step(&PUSHFW);
    assert_eq!(rig.registers.rsp, STACK - 2);
    assert_eq!(rig.machine.u64(STACK - 8), 0x0246_ffff_ffff_ffff);
}

fn popf(mut rig: Rig, code: &[u8], value: u64) -> Rig {
    rig.machine.put_u64(STACK, value);
    rig.step(code);
    rig
}

/// SDM vol. 2B, POPF, table "Effect of POPF/POPFD on the EFLAGS Register".
#[test]
fn popf_at_each_privilege_level() {
    // (CPL, IOPL before, what 0x3200 leaves of IOPL and IF)
    let rows =
        [(0, 0, 0x3200), (1, 1, 0x1200), (1, 0, 0), (3, 3, 0x3200), (3, 2, 0x2000), (3, 0, 0)];
    for (cpl, iopl, left) in rows {
        let mut rig = if cpl == 3 { Rig::user() } else { Rig::new() };
        rig.state.cpl = cpl;
        rig.state.rflags = iopl << 12;
        let rig = popf(rig, &POPFQ, 0x3200);
        assert_eq!(rig.state.rflags, left, "CPL {cpl}, IOPL {iopl}");
        assert_eq!(rig.registers.rflags, 0x202, "the real flags");
        assert_eq!(rig.registers.rsp, STACK + 8);
    }
}

/// SDM vol. 2B, POPF: reserved bits, VM and RF do not change; TF, NT, DF, AC
/// and ID do.
#[test]
fn popf_loads_what_exists() {
    let rig = popf(Rig::new(), &POPFQ, u64::MAX);
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x24_7fd7);
    assert_eq!(rig.state.interruptibility, 0, "RF is clear");
}

/// SDM vol. 2B, POPF: 16 bits leave AC and ID alone.
#[test]
fn popf_of_16_bits() {
    let mut rig = Rig::new();
    rig.registers.rflags = 0x24_0202;
    let rig = popf(rig, &POPFW, 0x3ed7);
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x24_3ed7);
    assert_eq!(rig.registers.rsp, STACK + 2);
}

/// SDM vol. 3B, §17.3.1.4: TF takes effect after the instruction that follows POPF.
#[test]
fn popf_of_tf_steps_the_next_instruction() {
    let mut rig = popf(Rig::new(), &POPFQ, 0x102);
    assert_eq!(rig.registers.rip, CODE + 1);
    assert_eq!(rig.run(&[0x0f, 0x06]), Outcome::Resume);
    assert_eq!(rig.frame(1)[0], CODE + 3);
    // And POPF that clears it is stepped itself.
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x100;
    rig.machine.put_u64(STACK, 2);
    assert_eq!(rig.run(&POPFQ), Outcome::Resume);
    assert_eq!(rig.frame(1)[..3], [CODE + 1, 8, 2]);
}

/// Stack faults leave RSP and flags (SDM vol. 1, §3.3.7.1; vol. 2B).
#[test]
fn stack_faults() {
    for code in [PUSHFQ, POPFQ] {
        let mut rig = Rig::new();
        rig.gate(12, KERNEL_CODE, handler(12), 0x8e, 1);
        rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
        rig.registers.rsp = 1 << 47 | 0x100;
        rig.faults(&code, 12, 0);
        let mut rig = Rig::new();
        rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
        rig.registers.rsp = 0x10_0000;
        let write = if code == PUSHFQ { 2 } else { 0 };
        rig.faults(&code, 14, write);
        assert_eq!(rig.frame_with_code(14)[4], 0x10_0000);
    }
}

fn returned_with_rf() -> Rig {
    let mut rig = Rig::new();
    let frame = [0x4800, KERNEL_CODE.into(), 0x1_0202, 0x5000, KERNEL_DATA.into()];
    for (index, word) in frame.into_iter().enumerate() {
        rig.machine.put_u64(STACK + 8 * index as u64, word);
    }
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    rig
}

/// SDM vol. 3B, §17.3.1.1: RF that IRET loads is in the frame of an interrupt
/// before the next instruction, and clear behind that.
#[test]
fn rf_lasts_for_one_instruction() {
    let mut rig = returned_with_rf();
    assert!(rig.state.interrupt_window_open(&rig.registers));
    assert_eq!(rig.interrupt(0x20), Outcome::Resume);
    assert_eq!(rig.frame(0x20)[..3], [0x4800, 8, 0x1_0202]);
    let mut rig = returned_with_rf();
    rig.step(&[0x0f, 0x06]);
    assert_eq!(rig.interrupt(0x20), Outcome::Resume);
    assert_eq!(rig.frame(0x20)[2], 0x202);
}

/// SDM vol. 2B, PUSHF; vol. 3B, §17.3.1.1: neither PUSHF nor INT n show RF.
#[test]
fn rf_is_not_shown_by_instructions() {
    let mut rig = returned_with_rf();
    rig.step(&PUSHFQ);
    assert_eq!(rig.machine.u64(0x5000 - 8), 0x202);
    let mut rig = returned_with_rf();
    assert_eq!(rig.trap(Trap::Interrupt { vector: 0x80 }), Outcome::Resume);
    assert_eq!(rig.frame(0x80)[2], 0x202);
}

/// An STI shadow and RF do not mix: IRET ends the shadow (SDM vol. 2B, STI).
#[test]
fn iret_ends_the_shadow_of_sti() {
    let mut rig = Rig::new();
    let frame = [0x4800, KERNEL_CODE.into(), 0x202, 0x5000, KERNEL_DATA.into()];
    for (index, word) in frame.into_iter().enumerate() {
        rig.machine.put_u64(STACK + 8 * index as u64, word);
    }
    rig.step(&[0xfb]);
    assert_eq!(rig.state.interruptibility, VcpuState::SHADOW_STI);
    assert_eq!(rig.run(&IRETQ), Outcome::Resume);
    assert!(rig.state.interrupt_window_open(&rig.registers));
}
