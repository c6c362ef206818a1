//! RDMSR and WRMSR: SDM vol. 4, table 2-2.

use super::rig::*;
use crate::{Completion, Exit, Outcome};

fn write(index: u32, value: u64) -> Rig {
    let mut rig = Rig::new();
    rig.registers.rcx = 0xffff_ffff_0000_0000 | u64::from(index);
    rig.registers.rax = 0xaaaa_aaaa_0000_0000 | value & 0xffff_ffff;
    rig.registers.rdx = 0xbbbb_bbbb_0000_0000 | value >> 32;
    rig
}
const WRMSR: [u8; 2] = [0x0f, 0x30];
const RDMSR: [u8; 2] = [0x0f, 0x32];

#[test]
fn values_come_back() {
    for (index, value) in [
        (0x277, 0x0105_0600_0704_0106),
        (0xc000_0081, 0x1234_5678_9abc_def0),
        (0xc000_0082, 0xffff_8000_1234_5678),
        (0xc000_0083, 0x7fff_ffff_ffff),
        (0xc000_0084, 0x4_7700),
        (0xc000_0100, 0x1000),
        (0xc000_0101, 0xffff_8000_0000_0000),
        (0xc000_0102, 0x2000),
    ] {
        let mut rig = write(index, value);
        rig.step(&WRMSR);
        (rig.registers.rax, rig.registers.rdx) = (u64::MAX, u64::MAX);
        rig.step(&RDMSR);
        let read = (rig.registers.rax, rig.registers.rdx);
        assert_eq!(read, (value & 0xffff_ffff, value >> 32), "{index:x}");
    }
}

/// SDM vol. 2B, WRMSR: non-canonical addresses.
#[test]
fn non_canonical_addresses() {
    for index in [0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102] {
        write(index, 1 << 47).faults(&WRMSR, 13, 0);
    }
}

/// SDM vol. 3A, §2.2.1, §9.8.5: NXE is not offered, LME cannot change under
/// paging, LMA is read-only.
#[test]
fn efer() {
    for bad in [0xd00, 0x400, 0x502, 0x1500, 1 << 63 | 0x500] {
        let mut rig = write(0xc000_0080, bad);
        rig.faults(&WRMSR, 13, 0);
        assert_eq!(rig.state.efer, 0x500);
    }
    for good in [0x501, 0x101] {
        let mut rig = write(0xc000_0080, good);
        rig.step(&WRMSR);
        assert_eq!(rig.state.efer, 0x501);
    }
}

/// SDM vol. 3A, §11.12.2: reserved memory types.
#[test]
fn pat() {
    for bad in [2, 3, 8, 0xff] {
        for slot in 0..8 {
            write(0x277, bad << (8 * slot)).faults(&WRMSR, 13, 0);
        }
    }
}

/// SDM vol. 3A, §11.11, and vol. 3B, §15.3.1: no ranges, no banks, all
/// memory write-back; nothing of it can change.
#[test]
fn memory_types_and_machine_checks_are_fixed() {
    for (index, value) in [(0xfe, 0), (0x2ff, 0x806), (0x179, 0), (0x17a, 0)] {
        let mut rig = write(index, 0x55);
        rig.step(&RDMSR);
        assert_eq!((rig.registers.rdx, rig.registers.rax), (0, value));
        write(index, value).step(&WRMSR);
        write(index, value ^ 1).faults(&WRMSR, 13, 0);
    }
}

/// SDM vol. 2B, RDMSR and WRMSR: a register that does not exist.
#[test]
fn unknown_registers() {
    for index in [0, 0x1a0, 0x174, 0x200, 0x250, 0x400, 0x7ff, 0x900, 0xc000_0103, u32::MAX] {
        write(index, 0).faults(&WRMSR, 13, 0);
        write(index, 0).faults(&RDMSR, 13, 0);
    }
}

/// Time and interrupt controller.
#[test]
fn the_platforms_registers() {
    for index in [0x10, 0x1b, 0x6e0, 0x800, 0x830, 0x8ff] {
        let exit = Outcome::Exit(Exit::ReadMsr { index });
        assert_eq!(write(index, 0).run(&RDMSR), exit);
        let exit = Outcome::Exit(Exit::WriteMsr { index, value: 3 });
        assert_eq!(write(index, 3).run(&WRMSR), exit);
    }
}

#[test]
fn others_leave_by_exit() {
    let mut rig = write(0x1b, 0xfee0_0900);
    let exit = Exit::WriteMsr { index: 0x1b, value: 0xfee0_0900 };
    assert_eq!(rig.run(&WRMSR), Outcome::Exit(exit));
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!(rig.registers.rip, CODE + 2);
    assert_eq!(rig.run(&RDMSR), Outcome::Exit(Exit::ReadMsr { index: 0x1b }));
    assert_eq!(rig.complete(Completion::Value(0x1_2345_6789)), Outcome::Resume);
    assert_eq!((rig.registers.rax, rig.registers.rdx), (0x2345_6789, 1));
    assert_eq!(rig.registers.rip, CODE + 4);
}
