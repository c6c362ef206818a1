//! LAR, LSL, VERR, VERW: SDM vol. 2.

use super::rig::*;

const ZF: u64 = 1 << 6;
/// A call gate and a trap gate, behind the rig's descriptors.
const CALL_GATE: u16 = 0x68;
const TRAP_GATE: u16 = 0x70;
/// Execute-only code of DPL 3.
const EXECUTE_ONLY: u16 = 0x78;
/// Read-only data of DPL 3, with a limit of 0xabcd bytes.
const READ_ONLY: u16 = 0x80;

fn rig(user: bool) -> Rig {
    let mut rig = if user { Rig::user() } else { Rig::new() };
    for (selector, descriptor) in [
        (CALL_GATE, 0x0000_ec00_0008_0000),
        (TRAP_GATE, 0x0000_8f00_0008_0000),
        (EXECUTE_ONLY, 0x00af_f900_0000_ffff),
        (READ_ONLY, 0x0040_f000_0000_abcd),
    ] {
        rig.machine.put_u64(GDT + u64::from(selector), descriptor);
    }
    rig.state.gdtr.limit = 0x8f;
    rig
}

/// Asks about `selector` by `code`, whose operands are ECX and EAX; the
/// answer if ZF is set.
#[track_caller]
fn ask(code: &[u8], selector: u16, user: bool) -> Option<u64> {
    const BEFORE: u64 = 0x1111_2222_3333_4444;
    let mut rig = rig(user);
    rig.registers.rax = BEFORE;
    rig.registers.rcx = 0xffff_ffff_ffff_0000 | u64::from(selector);
    let others = rig.registers.rflags;
    rig.step(code);
    assert_eq!(rig.registers.rflags & !ZF, others, "other flags stay");
    let set = rig.registers.rflags & ZF != 0;
    assert!(set || rig.registers.rax == BEFORE, "no answer, no change");
    set.then_some(rig.registers.rax)
}

const LAR: [u8; 3] = [0x0f, 0x02, 0xc1];
const LSL: [u8; 3] = [0x0f, 0x03, 0xc1];
const VERR: [u8; 3] = [0x0f, 0x00, 0xe1];
const VERW: [u8; 3] = [0x0f, 0x00, 0xe9];

/// SDM vol. 2A, LAR: bits 23:8 of the second half, without the limit's.
#[test]
fn lar_shows_access_rights() {
    assert_eq!(ask(&LAR, KERNEL_CODE, false), Some(0x00a0_9b00));
    assert_eq!(ask(&LAR, USER_DATA, true), Some(0x00c0_f300));
    assert_eq!(ask(&LAR, ABSENT_CODE, false), Some(0x00a0_1b00), "presence is shown, not asked");
    let wide = [0x48, 0x0f, 0x02, 0xc1];
    assert_eq!(ask(&wide, KERNEL_CODE, false), Some(0x00a0_9b00));
    let word = [0x66, 0x0f, 0x02, 0xc1];
    assert_eq!(ask(&word, KERNEL_CODE, false), Some(0x1111_2222_3333_9b00));
}

/// SDM vol. 2A, LAR, table "Segment and Gate Types" in IA-32e mode.
#[test]
fn lar_knows_types() {
    assert_eq!(ask(&LAR, TASK, false), Some(0x8900));
    assert_eq!(ask(&LAR, LDT, false), Some(0x8200));
    assert_eq!(ask(&LAR, CALL_GATE, false), Some(0xec00));
    assert_eq!(ask(&LAR, TRAP_GATE, false), None);
}

/// SDM vol. 2A, LSL: in bytes; gates have no limit.
#[test]
fn lsl_shows_limits() {
    assert_eq!(ask(&LSL, KERNEL_CODE, false), Some(0xffff_ffff));
    assert_eq!(ask(&LSL, READ_ONLY | 3, true), Some(0xabcd));
    assert_eq!(ask(&LSL, TASK, false), Some(0x67));
    assert_eq!(ask(&LSL, LDT, false), Some(0xf));
    assert_eq!(ask(&LSL, CALL_GATE, false), None);
    let word = [0x66, 0x0f, 0x03, 0xc1];
    assert_eq!(ask(&word, KERNEL_CODE, false), Some(0x1111_2222_3333_ffff));
}

/// SDM vol. 2A, LAR and LSL: null, beyond the limit, no LDT: ZF clear, no fault.
#[test]
fn what_is_not_there() {
    for code in [LAR, LSL, VERR, VERW] {
        for selector in [0, 3, 0x90, 0xfff8, 0x0c] {
            assert_eq!(ask(&code, selector, false), None, "{code:02x?} {selector:#x}");
        }
    }
}

/// SDM vol. 2A, LAR: CPL and RPL must not exceed the DPL, unless the code conforms.
#[test]
fn privilege() {
    for code in [LAR, LSL, VERR, VERW] {
        let data = if code == VERW { KERNEL_DATA } else { KERNEL_CODE };
        assert!(ask(&code, data, false).is_some());
        assert_eq!(ask(&code, data | 1, false), None, "RPL");
        assert_eq!(ask(&code, data, true), None, "CPL");
    }
    for code in [LAR, LSL, VERR] {
        assert!(ask(&code, CONFORMING | 3, true).is_some(), "{code:02x?}");
    }
}

/// SDM vol. 2B, VERR and VERW.
#[test]
fn readable_and_writable() {
    for (selector, readable, writable) in [
        (KERNEL_DATA, true, true),
        (KERNEL_CODE, true, false),
        (READ_ONLY, true, false),
        (EXECUTE_ONLY, false, false),
        (TASK, false, false),
        (LDT, false, false),
        (CALL_GATE, false, false),
    ] {
        assert_eq!(ask(&VERR, selector, false).is_some(), readable, "{selector:#x}");
        assert_eq!(ask(&VERW, selector, false).is_some(), writable, "{selector:#x}");
    }
}

/// The operand and the table are memory, and reading them may fault.
#[test]
fn memory_operands() {
    let mut rig = rig(false);
    rig.machine.put(DATA, &KERNEL_CODE.to_le_bytes());
    rig.registers.rdi = DATA;
    rig.step(&[0x0f, 0x02, 0x07]);
    assert_eq!(rig.registers.rax, 0x00a0_9b00);
    rig.registers.rdi = 1 << 47;
    rig.faults(&[0x0f, 0x03, 0x07], 13, 0);
    let mut rig = self::rig(false);
    rig.registers.rcx = 0x2000;
    rig.state.gdtr.base = RAM as u64 - 0x1000;
    rig.state.gdtr.limit = 0xffff;
    // The gates are in that table, too; the fault cannot be delivered.
    assert!(matches!(rig.run(&LAR), crate::Outcome::Shutdown(_)));
}
