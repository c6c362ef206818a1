//! What user mode may not do.

use super::rig::*;
use crate::Trap;

/// SDM vol. 3A, §5.9: privileged instructions raise #GP(0) at CPL 3.
#[test]
fn privileged_instructions() {
    let codes: [&[u8]; 22] = [
        &[0xf4],
        &[0x0f, 0x06],
        &[0x0f, 0x08],
        &[0x0f, 0x09],
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x0f, 0x33],
        &[0x0f, 0x20, 0xc0],
        &[0x0f, 0x20, 0xd0],
        &[0x0f, 0x22, 0xd8],
        &[0x0f, 0x22, 0xe0],
        &[0x44, 0x0f, 0x22, 0xc0],
        &[0x0f, 0x21, 0xc0],
        &[0x0f, 0x23, 0xf8],
        &[0x0f, 0x01, 0x17],
        &[0x0f, 0x01, 0x1f],
        &[0x0f, 0x00, 0xd0],
        &[0x0f, 0x00, 0xd8],
        &[0x0f, 0x01, 0xf0],
        &[0x0f, 0x01, 0x3f],
        &[0x0f, 0x01, 0xf8],
        &[0xfa],
    ];
    for code in codes {
        let mut rig = Rig::user();
        rig.registers.rdi = DATA;
        let before = rig.state;
        rig.faults(code, 13, 0);
        assert_eq!(rig.frame_with_code(13)[2], USER_CODE.into());
        assert_eq!(
            (rig.state.cr0, rig.state.cr3, rig.state.gdtr),
            (before.cr0, before.cr3, before.gdtr)
        );
        assert_eq!(rig.machine.cr3_loads.0 + rig.machine.invalidations.0, 0);
    }
}

/// SDM vol. 2, CLI and STI: CPL <= IOPL.
#[test]
fn interrupt_flag_by_iopl() {
    let mut rig = Rig::user();
    rig.faults(&[0xfb], 13, 0);
    let mut rig = Rig::user();
    rig.state.rflags = 0x3000;
    rig.step(&[0xfb]);
    assert!(rig.state.interrupts_enabled());
}

/// Operands of user instructions are user accesses; code too.
#[test]
fn user_operands_need_user_rights() {
    let mut rig = Rig::user();
    rig.machine.user_from = CODE;
    rig.registers.rdi = TSS;
    rig.faults(&[0x8e, 0x1f], 14, 5); // mov (%rdi), %ds
    assert_eq!(rig.state.cr2, TSS);
    let mut rig = Rig::user();
    rig.machine.user_from = DATA;
    rig.registers.rip = CODE;
    assert_eq!(rig.trap(Trap::Exception { vector: 13, error_code: 0 }), crate::Outcome::Resume);
    assert_eq!(rig.frame_with_code(14)[..2], [5, CODE]);
}

/// Not offered, at any CPL: SYSENTER and SYSEXIT (which AMD's long mode does
/// not have), INVPCID, RDTSCP, MONITOR, MWAIT, XGETBV, XSETBV, RDFSBASE.
#[test]
fn instructions_that_are_not_offered() {
    let codes: [&[u8]; 9] = [
        &[0x0f, 0x34],
        &[0x0f, 0x35],
        &[0x66, 0x0f, 0x38, 0x82, 0x07],
        &[0x0f, 0x01, 0xf9],
        &[0x0f, 0x01, 0xc8],
        &[0x0f, 0x01, 0xc9],
        &[0x0f, 0x01, 0xd0],
        &[0x0f, 0x01, 0xd1],
        &[0xf3, 0x48, 0x0f, 0xae, 0xc0],
    ];
    for code in codes {
        for mut rig in [Rig::new(), Rig::user()] {
            rig.machine.put(CODE, code);
            let trap = Trap::Exception { vector: 6, error_code: 0 };
            assert_eq!(rig.trap(trap), crate::Outcome::Resume);
            assert_eq!(rig.frame(6)[0], CODE);
        }
    }
}

/// WBINVD and INVD do nothing; RDPMC has nothing to read: #GP(0) even at CPL 0.
#[test]
fn kernel_instructions_without_effect() {
    let mut rig = Rig::new();
    rig.step(&[0x0f, 0x09]);
    rig.step(&[0x0f, 0x08]);
    Rig::new().faults(&[0x0f, 0x33], 13, 0);
}
