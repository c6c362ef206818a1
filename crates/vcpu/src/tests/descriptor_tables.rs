//! LGDT, LIDT, LLDT, LTR and the stores: SDM vol. 2.

use super::rig::*;
use crate::{Outcome, TableRegister};

fn table_at_data(base: u64, limit: u16) -> Rig {
    let mut rig = Rig::new();
    rig.registers.rdi = DATA;
    rig.machine.put(DATA, &limit.to_le_bytes());
    rig.machine.put_u64(DATA + 2, base);
    rig
}

#[test]
fn loads_take_64_bit_bases_whatever_the_prefix() {
    for code in [&[0x0f, 0x01, 0x17][..], &[0x66, 0x0f, 0x01, 0x17], &[0x48, 0x0f, 0x01, 0x17]] {
        let mut rig = table_at_data(0xffff_8000_1234_5678, 0xabcd);
        rig.step(code);
        assert_eq!(rig.state.gdtr, TableRegister::new(0xffff_8000_1234_5678, 0xabcd));
    }
}

#[test]
fn a_non_canonical_base_faults() {
    for code in [[0x0f, 0x01, 0x17], [0x0f, 0x01, 0x1f]] {
        table_at_data(1 << 47, 0).faults(&code, 13, 0);
    }
}

/// SDM vol. 1, §3.3.7.1: #SS(0) through RSP and RBP, #GP(0) otherwise.
#[test]
fn non_canonical_operands() {
    let mut rig = Rig::new();
    rig.registers.rdi = 1 << 47;
    rig.faults(&[0x0f, 0x01, 0x17], 13, 0);
    let mut rig = Rig::new();
    rig.registers.rbp = 1 << 47;
    rig.faults(&[0x0f, 0x01, 0x55, 0], 12, 0);
    let mut rig = Rig::new();
    rig.registers.rbp = 1 << 47;
    rig.faults(&[0x64, 0x0f, 0x01, 0x55, 0], 13, 0);
}

/// An operand fault leaves the register as it was.
#[test]
fn operand_page_faults() {
    let mut rig = Rig::new();
    rig.registers.rdi = RAM as u64 - 9;
    rig.faults(&[0x0f, 0x01, 0x17], 14, 0);
    assert_eq!(rig.state.cr2, RAM as u64);
    assert_eq!(rig.state.gdtr, TableRegister::new(GDT, GDT_LIMIT));
}

#[test]
fn stores_show_what_was_loaded() {
    let mut rig = Rig::new();
    rig.registers.rdi = DATA;
    rig.step(&[0x0f, 0x01, 0x07]);
    assert_eq!(rig.machine.u64(DATA), GDT << 16 | u64::from(GDT_LIMIT));
    rig.step(&[0x0f, 0x01, 0x0f]);
    assert_eq!(rig.machine.u64(DATA), IDT << 16 | 0xfff);
    rig.registers.rbx = u64::MAX;
    rig.step(&[0x0f, 0x00, 0xcb]);
    assert_eq!(rig.registers.rbx, TASK.into());
    rig.step(&[0x0f, 0x00, 0xc3]);
    assert_eq!(rig.registers.rbx, 0);
}

fn load(instruction: u8, selector: u16) -> (Rig, [u8; 3]) {
    let mut rig = Rig::new();
    rig.registers.rax = selector.into();
    (rig, [0x0f, 0x00, instruction])
}
const LLDT: u8 = 0xd0;
const LTR: u8 = 0xd8;

/// Vol. 2A, LTR: null, LDT, type, presence, limit.
#[test]
fn ltr_faults() {
    for (selector, code) in [(0, 0), (3, 0), (0x2c, 0x2c), (8, 8), (LDT, LDT), (0x68, 0x68)] {
        let (mut rig, instruction) = load(LTR, selector);
        rig.faults(&instruction, 13, code.into());
    }
    let (mut rig, instruction) = load(LTR, TASK);
    rig.machine.put(GDT + 0x2d, &[0x8b]);
    rig.faults(&instruction, 13, TASK.into()); // busy
    let (mut rig, instruction) = load(LTR, TASK);
    rig.machine.put(GDT + 0x2d, &[0x09]);
    rig.faults(&instruction, 11, TASK.into()); // not present
    let (mut rig, instruction) = load(LTR, TASK);
    rig.machine.put_u64(GDT + 0x30, 1 << 40);
    rig.faults(&instruction, 13, TASK.into()); // upper type not zero
}

#[test]
fn ltr_takes_a_64_bit_base() {
    let (mut rig, instruction) = load(LTR, TASK);
    rig.machine.put_u64(GDT + 0x30, 0xffff_8000);
    rig.step(&instruction);
    assert_eq!(rig.state.tr.base, 0xffff_8000_0000_3000);
    assert_eq!(rig.machine.ram[GDT as usize + 0x2d], 0x8b);
}

/// Vol. 2A, LLDT: null is fine; selectors with TI set then find an entry.
#[test]
fn an_ldt_is_used() {
    let (mut rig, instruction) = load(LLDT, LDT);
    rig.machine.put_u64(DATA + 8, 0x00cf_9300_0000_ffff);
    rig.step(&instruction);
    rig.registers.rax = 0xc;
    rig.step(&[0x8e, 0xd8]);
    assert_eq!(rig.state.ds.selector, 0xc);
    rig.registers.rax = 0x14;
    rig.faults(&[0x8e, 0xd8], 13, 0x14);
    let (mut rig, instruction) = load(LLDT, 2);
    rig.step(&instruction);
    let (mut rig, instruction) = load(LLDT, TASK);
    rig.faults(&instruction, 13, TASK.into());
}

/// The memory form reads 16 bits.
#[test]
fn ltr_from_memory() {
    let mut rig = Rig::new();
    rig.registers.rdi = RAM as u64 - 2;
    rig.machine.put(RAM as u64 - 2, &TASK.to_le_bytes());
    assert_eq!(rig.run(&[0x0f, 0x00, 0x1f]), Outcome::Resume);
    assert_eq!(rig.registers.rip, CODE + 3);
}
