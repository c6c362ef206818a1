//! Delivery through the IDT: SDM vol. 3A, chapter 6, and vol. 2A, "INT n".

use x86::{Gva, PageFault, PageFaultCode};

use super::rig::*;
use crate::{Outcome, Trap, VcpuState};

const UD: Trap = Trap::Exception { vector: 6, error_code: 0 };
const UD2: [u8; 2] = [0x0f, 0x0b];
const STACK_FAULT: Trap = Trap::Exception { vector: 12, error_code: 0 };

fn page_fault(address: u64) -> Trap {
    let code = PageFaultCode::PRESENT | PageFaultCode::WRITE;
    Trap::PageFault(PageFault { address: Gva::new(address), code })
}

fn shutdown(outcome: Outcome) -> (u8, u8) {
    match outcome {
        Outcome::Shutdown(triple) => (triple.first, triple.last),
        other => panic!("{other:?}"),
    }
}

/// §6.14.2: SS and RSP are pushed always, RSP is aligned to 16 before.
#[test]
fn frame_at_the_same_privilege() {
    for misaligned in 0..16 {
        let mut rig = Rig::new();
        rig.registers.rsp = STACK + misaligned;
        assert_eq!(rig.trap(UD), Outcome::Resume);
        let frame = rig.frame(6);
        assert_eq!(frame, [CODE, 8, 0x1_0002, STACK + misaligned, 0x10]);
        assert_eq!(rig.registers.rsp, STACK - 40);
        assert_eq!((rig.state.cs.selector, rig.state.ss.selector), (8, 0x10));
    }
}

/// §6.13: vectors 8, 10-14 and 17 push an error code, others none.
#[test]
fn error_codes_by_vector() {
    for vector in [0, 5, 7, 16, 19] {
        let mut rig = Rig::new();
        assert_eq!(rig.trap(Trap::Exception { vector, error_code: 7 }), Outcome::Resume);
        assert_eq!(rig.frame(vector as u8)[0], CODE, "vector {vector}");
    }
    for vector in [10, 11, 12, 13, 17] {
        let mut rig = Rig::new();
        assert_eq!(rig.trap(Trap::Exception { vector, error_code: 0x18 }), Outcome::Resume);
        assert_eq!(rig.frame_with_code(vector as u8)[..2], [0x18, CODE], "vector {vector}");
    }
}

/// §6.12.1.3: TF, NT and RF are cleared by both gate types, IF by interrupt
/// gates only; the frame keeps them.
#[test]
fn flags_by_gate_type() {
    for (attributes, interrupts_stay) in [(0x8e, false), (0x8f, true)] {
        let mut rig = Rig::new();
        rig.gate(6, KERNEL_CODE, handler(6), attributes, 0);
        rig.state.rflags = 0x200;
        rig.registers.rflags = 0x4fd7; // TF, NT, DF and the arithmetic flags
        assert_eq!(rig.trap(UD), Outcome::Resume);
        assert_eq!(rig.frame(6)[2], 0x1_4fd7);
        assert_eq!(rig.state.interrupts_enabled(), interrupts_stay);
        assert_eq!(rig.registers.rflags, 0x0ed7, "real flags: TF and NT clear, DF as it was");
    }
}

/// Vol. 3B, §17.3.1.1: RF is set in the frame of fault-class exceptions but
/// #DB, and clear for traps, aborts and interrupts.
#[test]
fn resume_flag_in_the_frame() {
    for (vector, set) in [(0, true), (1, false), (6, true), (16, true), (18, false), (19, true)] {
        let mut rig = Rig::new();
        assert_eq!(rig.trap(Trap::Exception { vector, error_code: 0 }), Outcome::Resume);
        assert_eq!(rig.frame(vector as u8)[2] >> 16, u64::from(set), "vector {vector}");
    }
    let mut rig = Rig::new();
    assert_eq!(rig.run(&[0xcd, 0x80]), Outcome::Resume);
    assert_eq!(rig.frame(128)[2] >> 16, 0);
}

/// §6.14.4: a gate's IST replaces the stack at any privilege.
#[test]
fn interrupt_stack_table() {
    let mut rig = Rig::new();
    rig.gate(6, KERNEL_CODE, handler(6), 0x8e, 1);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.registers.rsp, (IST1 & !15) - 40);
    assert_eq!(rig.frame(6)[3..], [STACK, 0x10]);
    assert_eq!(rig.state.ss.selector, 0x10, "SS stays within CPL 0");
}

/// §6.14.2 and §6.12.1: to an inner level, RSP comes from the TSS and SS
/// becomes null with the new RPL.
#[test]
fn from_user_mode_to_the_kernel() {
    let mut rig = Rig::user();
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.registers.rsp, RSP0 - 40);
    assert_eq!(rig.frame(6)[1], USER_CODE.into());
    assert_eq!(rig.frame(6)[3..], [STACK, USER_DATA.into()]);
    assert_eq!((rig.state.cpl(), rig.state.ss.selector, rig.state.cs.selector), (0, 0, 8));
}

/// §4.6.1: descriptor tables, TSS and the new stack are supervisor accesses
/// even when the event arrives at CPL 3.
#[test]
fn delivery_needs_no_user_rights() {
    let mut rig = Rig::user();
    rig.machine.user_from = u64::MAX;
    assert_eq!(rig.trap(STACK_FAULT_AT_DATA), Outcome::Resume);
    rig.frame(0);
}
const STACK_FAULT_AT_DATA: Trap = Trap::Exception { vector: 0, error_code: 0 };

/// Vol. 2A, "INT n": a conforming handler keeps the CPL and the stack.
#[test]
fn conforming_handlers_keep_the_privilege() {
    let mut rig = Rig::user();
    rig.gate(6, CONFORMING, handler(6), 0x8e, 0);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!((rig.state.cpl(), rig.state.cs.selector), (3, CONFORMING | 3));
    assert_eq!(rig.registers.rsp, STACK - 40);
}

/// §6.15, interrupt 14: CR2 is the address; U is the virtual CPL's.
#[test]
fn page_faults_carry_the_virtual_privilege() {
    for (mut rig, code) in [(Rig::new(), 3), (Rig::user(), 7)] {
        assert_eq!(rig.trap(page_fault(0xdead_b000)), Outcome::Resume);
        assert_eq!(rig.frame_with_code(14)[0], code);
        assert_eq!(rig.state.cr2, 0xdead_b000);
    }
}

/// §6.10: beyond the IDT limit, #GP(vector*8 + IDT + EXT). The limit must
/// cover all 16 bytes.
#[test]
fn idt_limit() {
    let mut rig = Rig::new();
    rig.state.idtr.limit = 0x7ff + 15;
    rig.faults(&[0xcd, 0x80], 13, 0x80 * 8 + 2);
    let mut rig = Rig::new();
    rig.state.idtr.limit = 19 * 16 + 14;
    assert_eq!(rig.trap(Trap::Exception { vector: 19, error_code: 0 }), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..2], [19 * 8 + 2 + 1, CODE]);
}

/// Vol. 2A, "INT n": only 64-bit interrupt and trap gates.
#[test]
fn gate_type() {
    for attributes in [0x80, 0x85, 0x86, 0x87, 0x8c, 0x9e, 0x9f] {
        let mut rig = Rig::new();
        rig.gate(6, KERNEL_CODE, handler(6), attributes, 0);
        assert_eq!(rig.trap(UD), Outcome::Resume);
        assert_eq!(rig.frame_with_code(13)[..2], [6 * 8 + 3, CODE], "{attributes:x}");
    }
}

/// §6.12.1.2: software interrupts need gate DPL >= CPL; that is checked
/// before presence. Exceptions ignore it.
#[test]
fn gate_privilege() {
    let mut rig = Rig::user();
    rig.gate(0x20, KERNEL_CODE, handler(0x20), 0x0e, 0);
    rig.faults(&[0xcd, 0x20], 13, 0x20 * 8 + 2);
    let mut rig = Rig::user();
    assert_eq!(rig.run(&[0xcd, 0x80]), Outcome::Resume);
    assert_eq!(rig.frame(128)[0], CODE + 2);
    let mut rig = Rig::user();
    assert_eq!(rig.trap(UD), Outcome::Resume);
    rig.frame(6);
}

/// Vol. 2A, "INT n": a gate that is not present raises #NP.
#[test]
fn gate_presence() {
    let mut rig = Rig::new();
    rig.gate(6, KERNEL_CODE, handler(6), 0x0e, 0);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.frame_with_code(11)[..2], [6 * 8 + 3, CODE]);
    let mut rig = Rig::new();
    rig.gate(0x20, KERNEL_CODE, handler(0x20), 0x0e, 0);
    rig.faults(&[0xcd, 0x20], 11, 0x20 * 8 + 2);
}

/// Vol. 2A, "INT n": checks of the handler's code segment, EXT set.
#[test]
fn handler_code_segment() {
    let cases = [
        (0, 13, 1),
        (3, 13, 1),
        (GDT_LIMIT + 1, 13, GDT_LIMIT + 2),
        (KERNEL_DATA, 13, KERNEL_DATA + 1),
        (TASK, 13, TASK + 1),
        (USER_CODE, 13, (USER_CODE & !3) + 1),
        (CODE32, 13, CODE32 + 1),
        (ABSENT_CODE, 11, ABSENT_CODE + 1),
        (0xc, 13, 0xc + 1), // there is no LDT
    ];
    for (selector, vector, code) in cases {
        let mut rig = Rig::new();
        rig.gate(6, selector, handler(6), 0x8e, 0);
        assert_eq!(rig.trap(UD), Outcome::Resume);
        assert_eq!(rig.frame_with_code(vector)[..2], [code.into(), CODE], "{selector:x}");
    }
}

/// Vol. 2A, "INT n": the same checks without EXT for software interrupts.
#[test]
fn software_interrupts_leave_ext_clear() {
    let mut rig = Rig::new();
    rig.gate(0x20, KERNEL_DATA, handler(0x20), 0x8e, 0);
    rig.faults(&[0xcd, 0x20], 13, KERNEL_DATA.into());
}

/// §7.7: IST and RSP0 must lie within the TSS, else #TS(TR).
#[test]
fn stacks_beyond_the_tss() {
    let mut rig = Rig::new();
    rig.gate(6, KERNEL_CODE, handler(6), 0x8e, 1);
    rig.state.tr.limit = 36 + 6;
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.frame_with_code(10)[..2], [u64::from(TASK) + 1, CODE]);
    let mut rig = Rig::user();
    rig.state.tr.attributes = 0;
    assert_eq!(shutdown(rig.trap(UD)), (6, 10), "every handler needs RSP0");
}

/// Vol. 2A, "INT n": a non-canonical stack raises #SS, a non-canonical
/// handler #GP, both with error code EXT.
#[test]
fn non_canonical_targets() {
    let mut rig = Rig::new();
    rig.gate(12, KERNEL_CODE, handler(12), 0x8e, 1);
    rig.registers.rsp = 0x8000_0000_1000;
    assert_eq!(rig.trap(UD), Outcome::Resume);
    let [code, _, _, _, rsp, _] = rig.frame_with_code(12);
    assert_eq!((code, rsp), (1, 0x8000_0000_1000));
    let mut rig = Rig::new();
    rig.gate(6, KERNEL_CODE, 0x8000_0000_0000, 0x8e, 0);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..2], [1, CODE]);
}

/// SDM vol. 3A, §4.10.4.1: a page fault invalidates its address, whoever noticed it.
#[test]
fn page_faults_flush_their_page() {
    let mut rig = Rig::new();
    assert_eq!(rig.trap(page_fault(0xdead_b123)), Outcome::Resume);
    assert_eq!(rig.machine.page_faults, (1, 0xdead_b123));
    // Those that an instruction raises here, too: a load of the GDT.
    let mut rig = Rig::new();
    rig.registers.rdi = 0x20_0000;
    rig.faults(&[0x0f, 0x01, 0x17], 14, 0);
    assert_eq!(rig.machine.page_faults, (1, 0x20_0000));
    // And those of the delivery itself.
    let mut rig = Rig::new();
    rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
    rig.registers.rsp = 0x20_0000;
    assert_eq!(rig.run(&[0xcd, 0x80]), Outcome::Resume);
    assert_eq!(rig.machine.page_faults, (1, 0x20_0000 - 40));
}

/// Table 6-5: contributory, then page fault: handled serially. The second
/// frame shows the first fault's RIP and RSP.
#[test]
fn a_page_fault_on_the_stack_is_serial() {
    let mut rig = Rig::new();
    rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
    rig.registers.rsp = 0x20_0000;
    assert_eq!(rig.trap(STACK_FAULT), Outcome::Resume);
    let [code, rip, _, _, rsp, _] = rig.frame_with_code(14);
    assert_eq!((code, rip, rsp), (2, CODE, 0x20_0000));
    assert_eq!(rig.state.cr2, 0x20_0000 - 48);
}

/// Table 6-5: page fault, then page fault or contributory: double fault with
/// error code 0.
#[test]
fn double_faults() {
    let mut rig = Rig::new();
    rig.gate(8, KERNEL_CODE, handler(8), 0x8e, 1);
    rig.registers.rsp = 0x20_0000;
    assert_eq!(rig.trap(page_fault(0x1234)), Outcome::Resume);
    let [code, rip, _, rflags, rsp, _] = rig.frame_with_code(8);
    assert_eq!((code, rip, rflags, rsp), (0, CODE, 2, 0x20_0000));
    let mut rig = Rig::new();
    rig.no_gate(14);
    assert_eq!(rig.trap(page_fault(0x1234)), Outcome::Resume);
    assert_eq!(rig.frame_with_code(8)[..2], [0, CODE]);
    let mut rig = Rig::new();
    rig.no_gate(12);
    assert_eq!(rig.trap(STACK_FAULT), Outcome::Resume);
    assert_eq!(rig.frame_with_code(8)[..2], [0, CODE]);
}

/// §6.15, interrupt 8: a contributory exception or page fault while #DF is
/// delivered shuts the CPU down; registers are those at the first fault.
#[test]
fn triple_faults() {
    let mut rig = Rig::new();
    rig.registers.rsp = 0x20_0000;
    let before = (rig.registers, rig.state.cs, rig.state.ss, rig.state.cpl());
    assert_eq!(shutdown(rig.trap(page_fault(0x1234))), (14, 14));
    assert_eq!((rig.registers, rig.state.cs, rig.state.ss, rig.state.cpl()), before);
    let mut rig = Rig::new();
    rig.no_gate(14);
    rig.no_gate(8);
    assert_eq!(shutdown(rig.trap(page_fault(0x1234))), (14, 13));
}

/// §4.6.1.1 with CR0.WP: a read-only stack page faults with P and W, U clear.
#[test]
fn a_read_only_stack() {
    let mut rig = Rig::new();
    rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
    rig.machine.read_only = (0x5000, 0x6000);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.frame_with_code(14)[0], 3);
}

/// §3.4.5.1: loading CS marks its descriptor accessed.
#[test]
fn the_handlers_descriptor_becomes_accessed() {
    let mut rig = Rig::new();
    rig.machine.put_u64(GDT + 8, 0x00af_9a00_0000_ffff);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.machine.u64(GDT + 8), 0x00af_9b00_0000_ffff);
}

/// Vol. 2A, "INT n": INT3 checks the gate's DPL; the frame shows the next
/// instruction, but a failed delivery the instruction itself.
#[test]
fn breakpoints() {
    for (code, back) in [(&[0xcc][..], 1), (&[0xcd, 3], 2)] {
        let after = CODE + code.len() as u64;
        let trap = Trap::Exception { vector: 3, error_code: 0 };
        let mut rig = Rig::new();
        rig.machine.put(CODE, code);
        rig.registers.rip = after;
        assert_eq!(rig.trap(trap), Outcome::Resume);
        assert_eq!(rig.frame(3)[0], after);
        let mut rig = Rig::user();
        rig.machine.put(CODE, code);
        rig.registers.rip = after;
        assert_eq!(rig.trap(trap), Outcome::Resume);
        assert_eq!(rig.frame_with_code(13)[..2], [3 * 8 + 2, after - back]);
    }
}

/// Vol. 2A, "INT n": INT1 is #DB without the DPL check, with EXT set.
#[test]
fn int1() {
    let mut rig = Rig::user();
    rig.machine.put(CODE, &[0xf1]);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.frame(1)[0], CODE + 1);
    let mut rig = Rig::user();
    rig.machine.put(CODE, &[0xf1]);
    rig.no_gate(1);
    assert_eq!(rig.trap(UD), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..2], [8 + 2 + 1, CODE]);
}

/// All 256 `int n`, from both CPLs, through the decoder; TCG's error code
/// (n*16 + 2) does not matter.
#[test]
fn every_software_interrupt() {
    for vector in 0..=255_u8 {
        let mut rig = Rig::new();
        rig.machine.put(CODE, &[0xcd, vector]);
        let error_code = u64::from(vector) * 16 + 2;
        assert_eq!(rig.trap(Trap::Exception { vector: 13, error_code }), Outcome::Resume);
        assert_eq!(rig.frame(vector), [CODE + 2, 8, 2, STACK, 0x10]);
        let mut rig = Rig::user();
        rig.machine.put(CODE, &[0xcd, vector]);
        assert_eq!(rig.trap(Trap::SoftwareInterrupt), Outcome::Resume);
        if vector == 128 {
            assert_eq!(rig.frame(128)[0], CODE + 2);
        } else {
            let code = u64::from(vector) * 8 + 2;
            assert_eq!(rig.frame_with_code(13)[..2], [code, CODE], "{vector}");
        }
    }
}

/// §6.8.1: external interrupts go through any gate, wake the CPU, and end shadows.
#[test]
fn external_interrupts() {
    let mut rig = Rig::user();
    rig.state.rflags = 0x200;
    rig.state.activity = VcpuState::HALTED;
    rig.state.set_shadow(VcpuState::SHADOW_STI, 1);
    assert_eq!(rig.interrupt(0x20), Outcome::Resume);
    assert_eq!(rig.frame(0x20), [CODE, USER_CODE.into(), 0x202, STACK, USER_DATA.into()]);
    assert_eq!((rig.state.activity, rig.state.interruptibility), (VcpuState::RUNNING, 0));
    assert!(!rig.state.interrupts_enabled());
}

/// UD2 itself, as decoded, and bytes that are no instruction of ours.
#[test]
fn undefined_opcodes() {
    for code in [&UD2[..], &[0x0f, 0xff, 0xc0], &[0x0f, 0x01, 0xc1]] {
        let mut rig = Rig::new();
        rig.machine.put(CODE, code);
        assert_eq!(rig.trap(UD), Outcome::Resume);
        assert_eq!(rig.frame(6)[0], CODE);
    }
}
