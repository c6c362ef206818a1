//! Fetching, single-stepping, interrupt shadows, HLT.

use super::rig::*;
use crate::{Completion, Exit, Outcome, Trap, VcpuState};

const GP: Trap = Trap::Exception { vector: 13, error_code: 0 };

/// An instruction may lie across two pages; the second is fetched only if needed.
#[test]
fn instructions_across_a_page_boundary() {
    let mut rig = Rig::new();
    rig.registers.rip = CODE + 0xfff;
    rig.step(&[0x0f, 0x06]);
    let mut rig = Rig::new();
    rig.registers.rip = RAM as u64 - 1;
    rig.machine.put(RAM as u64 - 1, &[0xf4]);
    assert_eq!(rig.trap(GP), Outcome::Exit(Exit::Halt { interrupts_enabled: false }));
    let mut rig = Rig::new();
    rig.registers.rip = RAM as u64 - 1;
    rig.machine.put(RAM as u64 - 1, &[0x0f]);
    assert_eq!(rig.trap(GP), Outcome::Resume);
    assert_eq!(rig.frame_with_code(14)[..2], [0, RAM as u64 - 1]);
    assert_eq!(rig.state.cr2, RAM as u64, "SDM vol. 3A, §6.15: CR2 is in the second page");
}

/// SDM vol. 2A, §2.3.11: more than 15 bytes raise #GP(0).
#[test]
fn overlong_instructions() {
    let mut rig = Rig::new();
    rig.faults(&[0x66; 16], 13, 0);
}

/// SDM vol. 1, §3.3.7.1: a jump to a non-canonical address is #GP(0), as is
/// running off the end of the canonical range.
#[test]
fn non_canonical_rip() {
    let mut rig = Rig::new();
    rig.registers.rip = 0x8000_0000_0000;
    assert_eq!(rig.trap(GP), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..2], [0, 0x8000_0000_0000]);
}

/// SDM vol. 3B, §17.3.1.4: TF traps after the instruction with DR6.BS; the
/// frame keeps TF.
#[test]
fn single_step_after_an_executed_instruction() {
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x100;
    assert_eq!(rig.run(&[0x0f, 0x06]), Outcome::Resume);
    assert_eq!(rig.frame(1), [CODE + 2, 8, 0x102, STACK, 0x10]);
    assert_eq!(rig.state.dr[6], 0xffff_4ff0);
    assert_eq!(rig.registers.rflags & 0x100, 0);
}

/// SDM vol. 3B, §17.2.3: a debug exception clears B0 to B3, and nothing else of DR6.
#[test]
fn a_single_step_hits_no_breakpoint() {
    for native in [false, true] {
        let mut rig = Rig::new();
        rig.registers.rflags |= 0x100;
        rig.state.dr[6] = 0xffff_afff;
        let outcome = if native {
            rig.trap(Trap::Exception { vector: 1, error_code: 0 })
        } else {
            rig.run(&[0x0f, 0x06])
        };
        assert_eq!(outcome, Outcome::Resume);
        assert_eq!(rig.state.dr[6], 0xffff_eff0);
    }
}

/// The same for a native instruction, which the kernel reports as vector 1.
#[test]
fn single_step_after_a_native_instruction() {
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x100;
    assert_eq!(rig.trap(Trap::Exception { vector: 1, error_code: 0 }), Outcome::Resume);
    assert_eq!(rig.frame(1)[..3], [CODE, 8, 0x102]);
    assert_eq!(rig.state.dr[6], 0xffff_4ff0);
}

/// Single-stepping over an exit traps when it completes.
#[test]
fn single_step_over_an_exit() {
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x100;
    let exit = Exit::PortOut { port: 0x80, size: 1, value: 0 };
    assert_eq!(rig.run(&[0xe6, 0x80]), Outcome::Exit(exit));
    assert_eq!(rig.registers.rip, CODE);
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!(rig.frame(1)[0], CODE + 2);
}

/// SDM vol. 3A, §6.8.3: MOV SS holds back the debug trap and interrupts.
#[test]
fn mov_ss_shadow() {
    let mut rig = Rig::new();
    rig.registers.rflags |= 0x100;
    rig.state.rflags = 0x200;
    rig.registers.rax = KERNEL_DATA.into();
    rig.step(&[0x8e, 0xd0]);
    assert!(!rig.state.interrupt_window_open(&rig.registers));
    assert_eq!(rig.run(&[0x0f, 0x06]), Outcome::Resume);
    rig.frame(1);
}

/// SDM vol. 3A, §6.8.3: only MOV SS and POP SS hold debug traps back, STI does not
/// (QEMU 7.2 lets it).
#[test]
fn sti_is_stepped() {
    for rflags in [0, 0x200] {
        let mut rig = Rig::new();
        rig.registers.rflags |= 0x100;
        rig.state.rflags = rflags;
        assert_eq!(rig.run(&[0xfb]), Outcome::Resume);
        assert_eq!(rig.frame(1)[..3], [CODE + 1, 8, 0x302]);
    }
}

/// SDM vol. 2B, STI: the instruction after it is shielded, if IF was clear.
#[test]
fn sti_shadow() {
    let mut rig = Rig::new();
    rig.step(&[0xfb]);
    assert!(rig.state.interrupts_enabled());
    assert!(!rig.state.interrupt_window_open(&rig.registers));
    rig.step(&[0xfb]);
    assert!(rig.state.interrupt_window_open(&rig.registers), "the second STI opens no shadow");
    rig.step(&[0xfa]);
    assert!(!rig.state.interrupts_enabled());
    assert_eq!(rig.registers.rflags & 0x200, 0x200, "the real flag stays set");
}

/// SDM vol. 2A, HLT: the interrupt's frame shows the next instruction.
#[test]
fn halt_and_wake() {
    let mut rig = Rig::new();
    rig.step(&[0xfb]);
    assert_eq!(rig.run(&[0xf4]), Outcome::Exit(Exit::Halt { interrupts_enabled: true }));
    assert_eq!(rig.state.activity, VcpuState::HALTED);
    assert!(rig.state.interrupt_window_open(&rig.registers), "HLT is the instruction after STI");
    assert_eq!(rig.interrupt(0x20), Outcome::Resume);
    assert_eq!(rig.frame(0x20)[0], CODE + 2);
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    rig.frame(0x20);
}

#[test]
fn halt_completed_by_the_platform() {
    let mut rig = Rig::new();
    assert_eq!(rig.run(&[0xf4]), Outcome::Exit(Exit::Halt { interrupts_enabled: false }));
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.state.activity), (CODE + 1, VcpuState::RUNNING));
}

/// A completion may raise an exception; RIP is the instruction's then.
#[test]
fn completions_may_fault() {
    let mut rig = Rig::new();
    rig.registers.rcx = 0x8ff;
    assert_eq!(rig.run(&[0x0f, 0x32]), Outcome::Exit(Exit::ReadMsr { index: 0x8ff }));
    let fault = Completion::Exception { vector: x86::Vector::GeneralProtection, error_code: 0 };
    assert_eq!(rig.complete(fault), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..2], [0, CODE]);
}

/// The bytes may have changed between the trap and the fetch: then they run.
#[test]
fn a_software_interrupt_that_is_gone() {
    let mut rig = Rig::new();
    rig.machine.put(CODE, &[0x90]);
    assert_eq!(rig.trap(Trap::SoftwareInterrupt), Outcome::Resume);
    assert_eq!(rig.registers.rip, CODE);
}

/// SDM vol. 2A, CPUID: 32 bits of leaf and subleaf, 64 bits of answer.
#[test]
fn cpuid() {
    let mut rig = Rig::new();
    (rig.registers.rax, rig.registers.rcx) = (0xffff_ffff_0000_000b, 0xffff_ffff_0000_0001);
    rig.step(&[0x0f, 0xa2]);
    let r = rig.registers;
    assert_eq!((r.rax, r.rbx, r.rcx, r.rdx), (0, 1, 0x201, 0));
}

/// SDM vol. 2B, RDTSC: the time comes from the platform; CR4.TSD keeps user programs out.
#[test]
fn rdtsc() {
    for (mut rig, tsd) in [(Rig::new(), 4), (Rig::user(), 0)] {
        rig.state.cr4 |= tsd;
        assert_eq!(rig.run(&[0x0f, 0x31]), Outcome::Exit(Exit::ReadMsr { index: 0x10 }));
        assert_eq!(rig.complete(Completion::Value(5 << 32 | 6)), Outcome::Resume);
        assert_eq!((rig.registers.rdx, rig.registers.rax), (5, 6));
    }
    let mut rig = Rig::user();
    rig.state.cr4 |= 4;
    rig.faults(&[0x0f, 0x31], 13, 0);
}

/// A restarted server finds an exit pending: the thread traps once more.
#[test]
fn a_trap_drops_a_pending_exit() {
    let mut rig = Rig::new();
    let exit = Exit::PortOut { port: 0x80, size: 1, value: 0 };
    assert_eq!(rig.run(&[0xe6, 0x80]), Outcome::Exit(exit));
    assert_eq!(rig.trap(GP), Outcome::Exit(exit));
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!(rig.registers.rip, CODE + 2);
}

/// A trap that is not an exit leaves nothing to complete.
#[test]
fn a_stale_completion_does_nothing() {
    let mut rig = Rig::new();
    assert!(matches!(rig.run(&[0xe6, 0x80]), Outcome::Exit(_)));
    assert_eq!(rig.trap(Trap::Exception { vector: 0, error_code: 0 }), Outcome::Resume);
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    rig.frame(0);
}
