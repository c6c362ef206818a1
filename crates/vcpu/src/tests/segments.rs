//! Segment register loads: SDM vol. 2B, MOV, POP, LSS.

use super::rig::*;
use crate::{Outcome, Segment};

/// `mov %eax, sreg`.
fn mov(number: u8) -> [u8; 2] {
    [0x8e, 0xc0 | number << 3]
}
const ES: u8 = 0;
const SS: u8 = 2;
const DS: u8 = 3;
const FS: u8 = 4;
const GS: u8 = 5;

fn with(selector: u16, mut rig: Rig) -> Rig {
    rig.registers.rax = selector.into();
    rig
}

#[test]
fn data_segments() {
    for number in [ES, DS, FS, GS] {
        let mut rig = with(KERNEL_DATA, Rig::new());
        rig.step(&mov(number));
        let mut rig = with(0, Rig::new());
        rig.step(&mov(number));
        for (selector, vector) in [
            (GDT_LIMIT + 1, 13),
            (TASK, 13),
            (ABSENT_DATA, 11),
            (ABSENT_DATA | 1, 13),
            (KERNEL_DATA | 3, 13),
        ] {
            with(selector, Rig::new()).faults(&mov(number), vector, (selector & !3).into());
        }
        with(KERNEL_DATA, Rig::user()).faults(&mov(number), 13, KERNEL_DATA.into());
        with(CONFORMING | 3, Rig::user()).step(&mov(number));
        with(USER_DATA, Rig::user()).step(&mov(number));
    }
}

/// Execute-only code cannot be read through; readable code can.
#[test]
fn code_as_data() {
    with(KERNEL_CODE, Rig::new()).step(&mov(DS));
    let mut rig = with(KERNEL_CODE, Rig::new());
    rig.machine.put(GDT + 8 + 5, &[0x99]);
    rig.faults(&mov(DS), 13, KERNEL_CODE.into());
}

/// MOV to SS: RPL and DPL equal the CPL, writable data, #SS if absent; null
/// only below CPL 3.
#[test]
fn the_stack_segment() {
    with(KERNEL_DATA, Rig::new()).step(&mov(SS));
    with(0, Rig::new()).step(&mov(SS));
    with(1, Rig::new()).faults(&mov(SS), 13, 0);
    with(KERNEL_CODE, Rig::new()).faults(&mov(SS), 13, KERNEL_CODE.into());
    with(USER_DATA, Rig::new()).faults(&mov(SS), 13, (USER_DATA & !3).into());
    with(KERNEL_DATA | 1, Rig::new()).faults(&mov(SS), 13, KERNEL_DATA.into());
    with(ABSENT_DATA, Rig::new()).faults(&mov(SS), 12, ABSENT_DATA.into());
    with(3, Rig::user()).faults(&mov(SS), 13, 0);
    with(USER_DATA, Rig::user()).step(&mov(SS));
}

/// FS and GS take the descriptor's base; null clears it.
#[test]
fn bases_of_fs_and_gs() {
    let mut rig = with(KERNEL_DATA, Rig::new());
    rig.machine.put_u64(GDT + 0x10, 0x12cf_9334_5678_ffff);
    rig.step(&mov(FS));
    rig.step(&mov(GS));
    assert_eq!((rig.registers.fs_base, rig.registers.gs_base), (0x1234_5678, 0x1234_5678));
    rig.registers.rax = 0;
    rig.step(&mov(GS));
    assert_eq!((rig.registers.fs_base, rig.registers.gs_base), (0x1234_5678, 0));
}

/// SDM vol. 3A, §3.4.5.1: the descriptor becomes accessed, and where that
/// cannot be written the load faults.
#[test]
fn accessed_bit() {
    let mut rig = with(KERNEL_DATA, Rig::new());
    rig.machine.put(GDT + 0x15, &[0x92]);
    rig.step(&mov(DS));
    assert_eq!(rig.machine.ram[GDT as usize + 0x15], 0x93);
    let mut rig = with(KERNEL_DATA, Rig::new());
    rig.machine.put(GDT + 0x15, &[0x92]);
    rig.machine.read_only = (GDT, GDT + 0x1000);
    let before = rig.state.ds;
    rig.faults(&mov(DS), 14, 3);
    assert_eq!((rig.state.ds, rig.state.cr2), (before, GDT + 0x15));
}

#[test]
fn reading_selectors() {
    let mut rig = Rig::user();
    rig.registers.rbx = u64::MAX;
    rig.step(&[0x8c, 0xcb]); // mov %cs, %ebx
    assert_eq!(rig.registers.rbx, USER_CODE.into());
    rig.registers.rdi = DATA;
    rig.step(&[0x48, 0x8c, 0x17]); // mov %ss, (%rdi): 16 bits
    assert_eq!(rig.machine.u64(DATA), USER_DATA.into());
}

/// SDM vol. 2B, PUSH: zero-extended to 64 bits, or 16 with a prefix; the
/// guest's selectors, not the thread's.
#[test]
fn push_fs_and_gs() {
    let mut rig = Rig::new();
    (rig.state.fs.selector, rig.state.gs.selector) = (USER_DATA, 0xfff8);
    rig.machine.put(STACK - 32, &[0xee; 32]);
    rig.step(&[0x0f, 0xa0]);
    rig.step(&[0x0f, 0xa8]);
    rig.step(&[0x66, 0x0f, 0xa8]);
    assert_eq!(rig.registers.rsp, STACK - 18);
    assert_eq!(rig.machine.u64(STACK - 8), USER_DATA.into());
    assert_eq!(rig.machine.u64(STACK - 16), 0xfff8);
    assert_eq!(rig.machine.u64(STACK - 24) >> 48, 0xfff8);
}

#[test]
fn pop_fs_and_gs() {
    let mut rig = Rig::new();
    rig.machine.put_u64(STACK, 0xffff_ffff_ffff_0000 | u64::from(KERNEL_DATA));
    rig.step(&[0x0f, 0xa1]);
    assert_eq!((rig.state.fs, rig.registers.rsp), (Segment::flat_data(0x10, 0), STACK + 8));
    rig.step(&[0x66, 0x0f, 0xa9]);
    assert_eq!(rig.registers.rsp, STACK + 10);
    let mut rig = Rig::new();
    rig.machine.put_u64(STACK, TASK.into());
    rig.faults(&[0x0f, 0xa9], 13, TASK.into());
}

#[test]
fn far_pointers() {
    let mut rig = Rig::new();
    rig.registers.rdi = DATA;
    rig.machine.put_u64(DATA, 0x1122_3344_5566_7788);
    rig.machine.put(DATA + 8, &KERNEL_DATA.to_le_bytes());
    rig.step(&[0x48, 0x0f, 0xb2, 0x1f]); // lss (%rdi), %rbx
    assert_eq!((rig.registers.rbx, rig.state.ss.selector), (0x1122_3344_5566_7788, 0x10));
    rig.machine.put(DATA + 4, &0_u16.to_le_bytes());
    rig.step(&[0x0f, 0xb5, 0x1f]); // lgs (%rdi), %ebx
    assert_eq!((rig.registers.rbx, rig.state.gs.selector), (0x5566_7788, 0));
}

/// Loading CS by MOV is #UD, natively.
#[test]
fn mov_to_cs() {
    let mut rig = Rig::new();
    rig.machine.put(CODE, &mov(1));
    let trap = crate::Trap::Exception { vector: 6, error_code: 0 };
    assert_eq!(rig.trap(trap), Outcome::Resume);
    rig.frame(6);
}

/// SDM vol. 3A, §3.5.1: the limit must cover a descriptor's last byte.
#[test]
fn a_descriptor_cut_by_the_limit() {
    let mut rig = with(KERNEL_DATA, Rig::new());
    rig.state.gdtr.limit = 0x17;
    rig.step(&mov(DS));
    let mut rig = with(KERNEL_DATA, Rig::new());
    rig.state.gdtr.limit = 0x16;
    rig.faults(&mov(DS), 13, KERNEL_DATA.into());
    let mut rig = with(LDT, Rig::new());
    rig.state.gdtr.limit = 0x5e;
    rig.faults(&[0x0f, 0x00, 0xd0], 13, LDT.into());
}
