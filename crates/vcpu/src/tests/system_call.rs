//! SYSCALL, SYSRET, SWAPGS: SDM vol. 2B.

use super::rig::*;
use crate::{Outcome, Trap};

/// A user program and a kernel that enabled SYSCALL.
fn enabled(mut rig: Rig) -> Rig {
    rig.state.efer |= 1;
    rig.state.star = 0x0013_0008 << 32;
    rig.state.lstar = 0x4800;
    rig.state.fmask = 0x4_7700;
    rig
}

/// Without EFER.SCE: #UD, as in Solo5 guests.
#[test]
fn disabled() {
    let mut rig = Rig::new();
    assert_eq!(rig.trap(Trap::SystemCall), Outcome::Resume);
    assert_eq!(rig.frame(6)[0], CODE);
    let mut rig = Rig::new();
    assert_eq!(rig.run(&[0x48, 0x0f, 0x07]), Outcome::Resume);
    assert_eq!(rig.frame(6)[0], CODE);
}

#[test]
fn syscall_from_user_mode() {
    for by_bytes in [false, true] {
        let mut rig = enabled(Rig::user());
        rig.state.rflags = 0x200;
        rig.registers.rflags = 0x4_0e47;
        rig.machine.put(CODE, &[0x0f, 0x05]);
        let trap = if by_bytes { Trap::SoftwareInterrupt } else { Trap::SystemCall };
        assert_eq!(rig.trap(trap), Outcome::Resume);
        let r = rig.registers;
        assert_eq!((r.rip, r.rsp, r.rcx, r.r11), (0x4800, STACK, CODE + 2, 0x4_0e47));
        assert_eq!(rig.state.guest_rflags(&r), 0x847);
        assert_eq!((rig.state.cpl(), rig.state.cs.selector, rig.state.ss.selector), (0, 8, 0x10));
    }
}

/// SDM vol. 2B, SYSCALL: whatever the registers hold, RDX above all, which
/// seL4 takes for a call number, the handler is reached and sees them.
#[test]
fn any_registers_reach_the_handler() {
    const EDGES: [u64; 18] = [
        0,
        1,
        0x7f,
        0xff,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0x9e00_0000,
        0xffff_ffff,
        1 << 32,
        0x7fff_ffff_ffff,
        1 << 47,
        0xffff_8000_0000_0000,
        0xffff_ffff_9e00_0000,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    let numbers = (-64_i64..=64).map(|number| (2, number as u64));
    let edges = (0..16).flat_map(|register| EDGES.map(|value| (register, value)));
    for (register, value) in numbers.chain(edges) {
        let mut rig = enabled(Rig::user());
        rig.machine.put(CODE, &[0x0f, 0x05]);
        rig.registers.rdx = 0xffff_ffff_fe00_0000;
        rig.registers.set(register, value);
        let before = rig.registers;
        // As the kernel reports it.
        let trap = Trap::of_unknown_system_call(before.rdx, before.rax, before.rdx);
        assert_eq!(rig.trap(trap), Outcome::Resume);
        let expected =
            crate::Registers { rip: 0x4800, rcx: CODE + 2, r11: 2, rflags: 0x202, ..before };
        assert_eq!(rig.registers, expected, "register {register} = {value:#x}");
        assert_eq!(rig.state.cpl(), 0);
    }
}

/// SDM vol. 2B: RDX, which the kernel would take for a call number, and all
/// other registers stay.
#[test]
fn syscall_keeps_the_other_registers() {
    let mut rig = enabled(Rig::user());
    for number in 0..16 {
        rig.registers.set(number, u64::MAX - u64::from(number));
    }
    assert_eq!(rig.trap(Trap::SystemCall), Outcome::Resume);
    for number in (0..16).filter(|number| !matches!(number, 1 | 11)) {
        assert_eq!(rig.registers.get(number), u64::MAX - u64::from(number), "{number}");
    }
}

#[test]
fn sysret() {
    let mut rig = enabled(Rig::new());
    rig.registers.rcx = 0x4900;
    rig.registers.r11 = !0x100;
    assert_eq!(rig.run(&[0x48, 0x0f, 0x07]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.state.cpl()), (0x4900, 3));
    assert_eq!((rig.state.cs.selector, rig.state.ss.selector), (0x23, 0x1b));
    assert_eq!(rig.state.guest_rflags(&rig.registers), 0x24_7ed7);
}

/// A non-canonical RCX is #GP(0) at CPL 0; the 32-bit form is not offered.
#[test]
fn sysret_faults() {
    let mut rig = enabled(Rig::new());
    rig.registers.rcx = 1 << 47;
    rig.faults(&[0x48, 0x0f, 0x07], 13, 0);
    enabled(Rig::new()).faults(&[0x0f, 0x07], 13, 0);
    enabled(Rig::user()).faults(&[0x48, 0x0f, 0x07], 13, 0);
}

/// AMD APM vol. 2, §13.1.4: SYSCALL steps by the masked flags, SYSRET by the
/// loaded ones.
#[test]
fn stepping_over_a_system_call() {
    let mut rig = enabled(Rig::user());
    rig.registers.rflags |= 0x100;
    assert_eq!(rig.trap(Trap::SystemCall), Outcome::Resume);
    assert_eq!(rig.registers.rip, 0x4800, "FMASK holds TF");
    let mut rig = enabled(Rig::new());
    (rig.registers.rcx, rig.registers.r11) = (0x4900, 0x102);
    assert_eq!(rig.run(&[0x48, 0x0f, 0x07]), Outcome::Resume);
    assert_eq!(rig.frame(1)[..2], [0x4900, 0x23]);
}

#[test]
fn swapgs() {
    let mut rig = Rig::new();
    (rig.registers.gs_base, rig.state.kernel_gs_base) = (1, 2);
    rig.step(&[0x0f, 0x01, 0xf8]);
    assert_eq!((rig.registers.gs_base, rig.state.kernel_gs_base), (2, 1));
}

/// The RPL bits of STAR[47:32] do not count at SYSCALL.
#[test]
fn star_privilege_bits() {
    let mut rig = enabled(Rig::user());
    rig.state.star = 0x0013_000b << 32;
    assert_eq!(rig.trap(Trap::SystemCall), Outcome::Resume);
    assert_eq!((rig.state.cs.selector, rig.state.ss.selector), (8, 0x10));
}

/// WRMSR refuses a non-canonical LSTAR, but the state page may hold one: the
/// thread never resumes there.
#[test]
fn a_corrupt_entry_point() {
    let mut rig = enabled(Rig::user());
    rig.state.lstar = 1 << 47;
    assert_eq!(rig.trap(Trap::SystemCall), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..3], [0, 1 << 47, 8]);
}
