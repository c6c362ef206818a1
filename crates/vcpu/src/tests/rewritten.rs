//! Instructions that image rewriting took out of memory.

use super::rig::*;
use crate::{Completion, Exit, Original, Outcome, Trap};

/// What is in memory there now.
const REPLACEMENT: [u8; 3] = [0xcd, 0x9e, 0x90];

fn rewritten(rig: &mut Rig, bytes: &[u8]) -> Outcome {
    rig.machine.put(rig.registers.rip, &REPLACEMENT);
    rig.trap(Trap::Rewritten(Original::new(bytes)))
}

/// The original runs, and the next instruction is the one behind it.
#[test]
fn the_original_runs() {
    let mut rig = Rig::new();
    rig.registers.gs_base = 1;
    rig.state.kernel_gs_base = 2;
    assert_eq!(rewritten(&mut rig, &[0x0f, 0x01, 0xf8]), Outcome::Resume);
    assert_eq!(rig.registers.rip, CODE + 3);
    assert_eq!((rig.registers.gs_base, rig.state.kernel_gs_base), (2, 1), "SWAPGS");
}

#[test]
fn exits_complete_behind_the_original() {
    let mut rig = Rig::new();
    let exit = Exit::ReadMsr { index: 0x1b };
    rig.registers.rcx = 0x1b;
    assert_eq!(rewritten(&mut rig, &[0x0f, 0x32]), Outcome::Exit(exit));
    assert_eq!(rig.complete(Completion::Value(7)), Outcome::Resume);
    assert_eq!((rig.registers.rax, rig.registers.rip), (7, CODE + 2));
}

/// Faults of the original show its own address.
#[test]
fn faults_show_the_original() {
    let mut rig = Rig::user();
    assert_eq!(rewritten(&mut rig, &[0x0f, 0x01, 0xf8]), Outcome::Resume);
    assert_eq!(rig.frame_with_code(13)[..2], [0, CODE]);
}

/// A table that is wrong is the guest's loss alone.
#[test]
fn what_is_no_instruction_is_undefined() {
    for bytes in [&[][..], &[0x90], &[0x0f], &[0x0f, 0x06, 0x90], &[0x66; 15], &[0x66; 16]] {
        let mut rig = Rig::new();
        assert_eq!(rewritten(&mut rig, bytes), Outcome::Resume);
        assert_eq!(rig.frame(6)[0], CODE, "{bytes:02x?}");
    }
    let mut rig = Rig::new();
    let original = Original { bytes: [0xfa; 15], length: 200 };
    assert_eq!(rig.trap(Trap::Rewritten(original)), Outcome::Resume);
    rig.frame(6);
}

/// SDM vol. 2A, "INT n": by the trap alone, whatever is in memory now.
#[test]
fn interrupts_need_no_fetch() {
    let mut rig = Rig::new();
    rig.machine.put(CODE, &[0x90, 0x90]);
    assert_eq!(rig.trap(Trap::Interrupt { vector: 0x80 }), Outcome::Resume);
    assert_eq!(rig.frame(0x80)[0], CODE + 2);
}
