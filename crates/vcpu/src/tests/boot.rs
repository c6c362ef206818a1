//! What the Solo5 hvt bindings execute, in their order.

use super::rig::*;
use crate::{Completion, Exit, Outcome, Segment, TableRegister, Trap, VcpuState};

/// The state in which a Solo5 hvt tender enters a guest.
fn entry() -> Rig {
    let mut rig = Rig::new();
    rig.state = VcpuState::long_mode(0x2000, 8, 16);
    rig.state.gdtr = TableRegister::new(0x1000, 0x17);
    rig
}

#[test]
fn the_solo5_boot_sequence() {
    let mut rig = entry();
    // wrmsr FS_BASE
    rig.registers.rcx = 0xc000_0100;
    (rig.registers.rdx, rig.registers.rax) = (0x7f, 0x1234_5678);
    rig.step(&[0x0f, 0x30]);
    assert_eq!(rig.registers.fs_base, 0x7f_1234_5678);
    // lgdt (%rdi)
    rig.registers.rdi = DATA;
    rig.machine.put(DATA, &[0x37, 0]);
    rig.machine.put_u64(DATA + 2, GDT);
    rig.step(&[0x0f, 0x01, 0x17]);
    assert_eq!(rig.state.gdtr, TableRegister::new(GDT, 0x37));
    // lretq
    rig.machine.put_u64(STACK, 0x4100);
    rig.machine.put_u64(STACK + 8, KERNEL_CODE.into());
    assert_eq!(rig.run(&[0x48, 0xcb]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (0x4100, STACK + 16));
    // mov ss, ds, es
    rig.registers.rax = KERNEL_DATA.into();
    for code in [0xd0, 0xd8, 0xc0] {
        rig.step(&[0x8e, code]);
    }
    assert_eq!(rig.state.ss, Segment::flat_data(KERNEL_DATA, 0));
    // lidt (%rdi)
    rig.machine.put(DATA, &[0xff, 0x0f]);
    rig.machine.put_u64(DATA + 2, IDT);
    rig.step(&[0x0f, 0x01, 0x1f]);
    assert_eq!(rig.state.idtr, TableRegister::new(IDT, 0xfff));
    // ltr
    rig.registers.rax = TASK.into();
    rig.step(&[0x0f, 0x00, 0xd8]);
    assert_eq!((rig.state.tr.base, rig.state.tr.limit), (TSS, 0x67));
    assert_eq!(rig.machine.u64(GDT + 0x28) >> 40 & 0xff, 0x8b, "busy in memory");
    // out %eax, %dx
    (rig.registers.rdx, rig.registers.rax) = (0x502, 0xffff_ffff_0001_2340);
    let rip = rig.registers.rip;
    let exit = Exit::PortOut { port: 0x502, size: 4, value: 0x1_2340 };
    assert_eq!(rig.run(&[0xef]), Outcome::Exit(exit));
    assert_eq!(rig.registers.rip, rip, "before completion");
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!(rig.registers.rip, rip + 1);
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!(rig.registers.rip, rip + 1, "a second completion does nothing");
}

/// Solo5's `exception` test: a write to an unmapped address, through IST 2;
/// the handler reads CR2. KVM shows ec=0x2 and rflags=0x10006 (facts of the
/// hvt tender).
#[test]
fn a_page_fault_as_kvm_shows_it() {
    let mut rig = Rig::new();
    rig.gate(14, KERNEL_CODE, handler(14), 0x8e, 1);
    rig.registers.rflags = 0x206;
    let fault = x86::PageFault {
        address: x86::Gva::new(0x4_0000_0000),
        code: x86::PageFaultCode::WRITE | x86::PageFaultCode::USER,
    };
    assert_eq!(rig.trap(Trap::PageFault(fault)), Outcome::Resume);
    let frame = rig.frame_with_code(14);
    assert_eq!(frame, [2, CODE, 8, 0x1_0006, STACK, 0x10]);
    assert_eq!(rig.registers.rsp, (IST1 & !15) - 48);
    assert_eq!(rig.state.cr2, 0x4_0000_0000);
    // mov %cr2, %rdi
    rig.registers.rip = CODE;
    rig.step(&[0x0f, 0x20, 0xd7]);
    assert_eq!(rig.registers.rdi, 0x4_0000_0000);
}

/// A fault before `lidt` ends the guest (SDM vol. 3A, §6.15, interrupt 8).
#[test]
fn a_fault_without_idt_is_a_triple_fault() {
    let mut rig = entry();
    let before = rig.registers;
    let outcome = rig.run(&[0x0f, 0x0b]);
    let Outcome::Shutdown(triple) = outcome else { panic!("{outcome:?}") };
    assert_eq!((triple.first, triple.last), (6, 13));
    assert_eq!(triple.error_code, 8 * 8 + 2 + 1);
    assert_eq!(rig.registers, before);
}
