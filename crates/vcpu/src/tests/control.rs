//! Control and debug registers: SDM vol. 2, MOV, and vol. 3, §2.5 and §17.2.

use super::rig::*;
use crate::{Completion, Exit, Outcome, Topology};

/// `mov %rax, %crN`.
fn to(number: u8) -> [u8; 3] {
    [0x0f, 0x22, 0xc0 | number << 3]
}

/// `mov %crN, %rbx`.
fn from(number: u8) -> [u8; 3] {
    [0x0f, 0x20, 0xc3 | number << 3]
}

fn with_rax(value: u64) -> Rig {
    let mut rig = Rig::new();
    rig.registers.rax = value;
    rig
}

#[test]
fn values_come_back() {
    for (number, value) in [(2, 0xdead_beef_0000), (3, 0x5018), (4, 0x6b0)] {
        let mut rig = with_rax(value);
        rig.step(&to(number));
        rig.step(&from(number));
        assert_eq!(rig.registers.rbx, value, "CR{number}");
    }
    let mut rig = with_rax(0xa);
    rig.step(&[0x44, 0x0f, 0x22, 0xc0]);
    rig.step(&[0x44, 0x0f, 0x20, 0xc3]);
    assert_eq!((rig.state.cr8, rig.registers.rbx), (0xa, 0xa));
}

/// Vol. 3A, §2.5: upper half, PG without PE, NW without CD; and leaving
/// 64-bit mode (§9.8.5.4).
#[test]
fn cr0_faults() {
    let good = 0x8001_0031;
    for bad in [good | 1 << 32, good & !1, good & !(1 << 31), good | 1 << 29] {
        let mut rig = with_rax(bad);
        rig.faults(&to(0), 13, 0);
        assert_eq!(rig.state.cr0, good);
    }
    let mut rig = with_rax(good | 3 << 29);
    rig.step(&to(0));
}

/// ET reads as one, undefined low bits as zero (vol. 3A, §2.5).
#[test]
fn cr0_fixed_bits() {
    let mut rig = with_rax(0x8001_ffe1);
    rig.step(&to(0));
    assert_eq!(rig.state.cr0, 0x8001_0031);
}

/// The machine hears of WP, and only of WP.
#[test]
fn write_protect_changes_the_view() {
    let mut rig = with_rax(0x8000_0031);
    rig.step(&to(0));
    assert_eq!(rig.machine.mode_changes, 1);
    rig.step(&to(0));
    assert_eq!(rig.machine.mode_changes, 1);
    rig.registers.rax = 0x8000_003b;
    rig.step(&to(0));
    assert_eq!(rig.machine.mode_changes, 1);
}

/// Vol. 3A, table 4-12: address bits beyond the physical width are reserved.
#[test]
fn cr3_reserved_bits() {
    for bit in 40..64 {
        let mut rig = with_rax(0x3000 | 1 << bit);
        rig.faults(&to(3), 13, 0);
        assert_eq!(rig.machine.cr3_loads.0, 0);
    }
    let mut rig = with_rax(0xff_ffff_ffff);
    rig.step(&to(3));
    assert_eq!(rig.machine.cr3_loads, (1, 0xff_ffff_ffff));
}

/// Vol. 3A, §4.10.4.1: every load counts, even of the same value.
#[test]
fn cr3_reload() {
    let mut rig = with_rax(0x2000);
    rig.step(&to(3));
    rig.step(&to(3));
    assert_eq!(rig.machine.cr3_loads, (2, 0x2000));
}

/// Vol. 2B, MOV: reserved bits and PAE in long mode.
#[test]
fn cr4_faults() {
    for bad in [0x600, 0x621, 0x622, 0xe20, 0x620 | 1 << 16, 0x620 | 1 << 18, 0x620 | 1 << 63] {
        let mut rig = with_rax(bad);
        rig.faults(&to(4), 13, 0);
        assert_eq!(rig.state.cr4, 0x620);
    }
}

/// Vol. 3A, §4.10.4.1: a change of PGE or PSE flushes.
#[test]
fn cr4_paging_bits_reach_the_machine() {
    for (value, told) in [(0x620, 0), (0x6a0, 1), (0x630, 1), (0x624, 0), (0x60 | 0x20, 0)] {
        let mut rig = with_rax(value);
        let _ = rig.run(&to(4));
        assert_eq!(rig.machine.mode_changes, told, "{value:x}");
    }
}

/// Vol. 2B, "MOV to CR8": bits 63:4 are reserved.
#[test]
fn cr8_reserved_bits() {
    let mut rig = with_rax(0x10);
    rig.faults(&[0x44, 0x0f, 0x22, 0xc0], 13, 0);
}

/// Vol. 3A, §10.8.6: with an APIC, CR8 is the upper half of its task priority.
#[test]
fn cr8_is_the_task_priority() {
    let mut rig = with_rax(0xa);
    rig.state.topology.features = Topology::X2APIC;
    let (index, value) = (0x808, 0xa0);
    let exit = Outcome::Exit(Exit::WriteMsr { index, value });
    assert_eq!(rig.run(&[0x44, 0x0f, 0x22, 0xc0]), exit);
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.state.cr8), (CODE + 4, 0xa));
    // And the other way round; what the APIC refuses changes nothing.
    for (value, cr8) in [(0x7f, 7), (0x100, 7)] {
        rig.registers.rip = CODE;
        rig.registers.rcx = index.into();
        rig.registers.rax = value;
        let exit = Outcome::Exit(Exit::WriteMsr { index, value });
        assert_eq!(rig.run(&[0x0f, 0x30]), exit);
        assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
        rig.step(&[0x44, 0x0f, 0x20, 0xc3]);
        assert_eq!(rig.registers.rbx, cr8);
    }
}

/// CR1, CR5 to CR7 and CR9 up do not exist: #UD, natively.
#[test]
fn other_control_registers() {
    for number in [1, 5, 6, 7] {
        let mut rig = Rig::new();
        rig.machine.put(CODE, &to(number));
        let trap = crate::Trap::Exception { vector: 6, error_code: 0 };
        assert_eq!(rig.trap(trap), Outcome::Resume);
        assert_eq!(rig.frame(6)[0], CODE);
    }
}

/// Vol. 2A, LMSW: the low four bits, of which PE cannot be cleared; CLTS
/// clears TS; SMSW reads.
#[test]
fn machine_status_word() {
    let mut rig = with_rax(0xfffe);
    rig.step(&[0x0f, 0x01, 0xf0]);
    assert_eq!(rig.state.cr0, 0x8001_003f);
    rig.step(&[0x0f, 0x06]);
    assert_eq!(rig.state.cr0, 0x8001_0037);
    rig.step(&[0x0f, 0x01, 0xe3]);
    assert_eq!(rig.registers.rbx, 0x8001_0037);
    rig.registers.rbx = u64::MAX;
    rig.step(&[0x66, 0x0f, 0x01, 0xe3]);
    assert_eq!(rig.registers.rbx, 0xffff_ffff_ffff_0037);
    rig.registers.rdi = DATA;
    rig.machine.put_u64(DATA, u64::MAX);
    rig.step(&[0x48, 0x0f, 0x01, 0x27]);
    assert_eq!(rig.machine.u64(DATA), 0xffff_ffff_ffff_0037, "16 bits to memory");
}

/// Vol. 2A, INVLPG: any operand form, segment base included; a
/// non-canonical address is a no-op.
#[test]
fn invlpg() {
    let mut rig = Rig::new();
    rig.registers.rdi = 0x1234_5678;
    rig.step(&[0x0f, 0x01, 0x3f]);
    assert_eq!(rig.machine.invalidations, (1, 0x1234_5678));
    rig.registers.gs_base = 0x1000_0000;
    rig.step(&[0x65, 0x0f, 0x01, 0x7f, 0xf8]);
    assert_eq!(rig.machine.invalidations, (2, 0x2234_5670));
    rig.registers.rdi = 1 << 63;
    rig.step(&[0x0f, 0x01, 0x3f]);
    assert_eq!(rig.machine.invalidations.0, 2);
    let next = rig.registers.rip + 7;
    rig.step(&[0x0f, 0x01, 0x3d, 0x10, 0, 0, 0]);
    assert_eq!(rig.machine.invalidations, (3, next + 0x10));
}

/// Vol. 3B, §17.2.2: DR4 and DR5 are DR6 and DR7 unless CR4.DE.
#[test]
fn debug_registers() {
    let mut rig = with_rax(0x1_2345_6789);
    rig.step(&[0x0f, 0x23, 0xc0]); // dr0
    rig.step(&[0x0f, 0x21, 0xc3]);
    assert_eq!(rig.registers.rbx, 0x1_2345_6789);
    rig.registers.rax = 0xffff_ffff & !0x2000; // not GD
    rig.step(&[0x0f, 0x23, 0xe8]); // dr5
    rig.step(&[0x0f, 0x21, 0xfb]); // dr7
    assert_eq!(rig.registers.rbx, 0xffff_07ff);
    rig.registers.rax = 0;
    rig.step(&[0x0f, 0x23, 0xf0]); // dr6
    rig.step(&[0x0f, 0x21, 0xe3]); // dr4
    assert_eq!(rig.registers.rbx, 0xffff_0ff0);
    rig.state.cr4 |= 8;
    let rip = rig.registers.rip;
    assert_eq!(rig.run(&[0x0f, 0x21, 0xe3]), Outcome::Resume);
    assert_eq!(rig.frame(6)[0], rip);
}

/// Vol. 3B, §17.2.6: the upper half of DR6 and DR7 is reserved.
#[test]
fn debug_registers_reserved_bits() {
    for code in [[0x0f, 0x23, 0xf0], [0x0f, 0x23, 0xf8]] {
        with_rax(1 << 32).faults(&code, 13, 0);
    }
}

/// Vol. 3B, §17.2.4: GD makes the next access #DB with DR6.BD, and is
/// cleared for the handler.
#[test]
fn general_detect() {
    let mut rig = with_rax(0x2000);
    rig.step(&[0x0f, 0x23, 0xf8]);
    let rip = rig.registers.rip;
    assert_eq!(rig.run(&[0x0f, 0x21, 0xf3]), Outcome::Resume);
    assert_eq!(rig.frame(1)[0], rip);
    assert_eq!((rig.state.dr[6], rig.state.dr[7]), (0xffff_2ff0, 0x400));
}
