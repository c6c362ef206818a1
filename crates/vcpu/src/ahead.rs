//! Look-ahead: one trap for several instructions that follow each other.
//!
//! After an instruction is done or an event is delivered, the CPU goes on
//! while the next instruction is one that would trap at once: `swapgs; sysretq`,
//! `sti; hlt`, a handler that is one `iretq`. Nothing else changes: each
//! instruction is executed as if its own trap had arrived, and whatever is
//! unusual, a fetch that faults included, is left to the thread.
//!
//! Invariant: only instructions that trap at CPL 3 with every operand, or
//! that were rewritten to, are executed ahead; at most [`LIMIT`], and at most
//! one that flushes translations, so that a request stays bounded.

use x86::Gva;

use crate::decode::{self, Control, Instruction, Operation, Rm};
use crate::exit::Outcome;
use crate::handle::start;
use crate::machine::{Access, Machine};
use crate::{Registers, VcpuState};

/// Most instructions executed ahead.
const LIMIT: u32 = 8;

/// Goes on after `outcome` as far as it is sure.
#[inline(always)] // most traps end here
pub(crate) fn go_on(
    state: &mut VcpuState,
    registers: &mut Registers,
    machine: &mut impl Machine,
    outcome: Outcome,
) -> Outcome {
    if matches!(outcome, Outcome::Resume)
        && let Some(first) = next(state, registers, machine)
    {
        return ahead(state, registers, machine, first);
    }
    outcome
}

/// Executes `instruction` and what follows it.
#[inline(never)]
fn ahead(
    state: &mut VcpuState,
    registers: &mut Registers,
    machine: &mut impl Machine,
    mut instruction: Instruction,
) -> Outcome {
    let mut flushed = flushes(&instruction.operation);
    let mut executed = 1;
    loop {
        machine.looked_ahead();
        let outcome = start(state, registers, instruction, machine);
        if !matches!(outcome, Outcome::Resume) || executed == LIMIT {
            return outcome;
        }
        let Some(following) = next(state, registers, machine) else {
            return outcome;
        };
        let flushes = flushes(&following.operation);
        if flushes && flushed {
            return outcome;
        }
        flushed |= flushes;
        instruction = following;
        executed += 1;
    }
}

/// The next instruction, if it is to be executed now.
#[inline(always)] // most traps end here
fn next(
    state: &VcpuState,
    registers: &Registers,
    machine: &mut impl Machine,
) -> Option<Instruction> {
    let rip = Gva::new(registers.rip);
    if state.cpl() != 0 {
        return None;
    }
    let bytes = machine.peek(rip, Access::fetch(state.privilege()))?;
    if machine.interrupt_pending() && state.interrupt_window_open(registers) {
        return None;
    }
    let found = instruction(bytes, rip, machine);
    if found.is_none() {
        machine.nothing_ahead(rip);
    }
    found
}

/// The instruction in `bytes`, if it traps always.
#[inline(never)]
fn instruction(bytes: [u8; 8], rip: Gva, machine: &mut impl Machine) -> Option<Instruction> {
    match bytes {
        [0xcd, 0x9e..=0xfe, ..] | [0x0f, 0x0b, ..] => rewritten(rip, machine),
        // Rewriting puts HLT where the original is one byte long.
        [0xf4, ..] => rewritten(rip, machine).or(Some(HLT)),
        [0xfa | 0xfb | 0xe4..=0xe7 | 0xec..=0xef, ..]
        | [0x0f, 0x00 | 0x01 | 0x06 | 0x07 | 0x20..=0x23 | 0x30 | 0x32, ..]
        | [0x40..=0x4f, 0xcf, ..]
        | [0x40..=0x4f, 0x0f, 0x00 | 0x01 | 0x07 | 0x20..=0x23, ..]
        | [0xf3, 0x6c..=0x6f, ..] => {
            let instruction = decode::decode(&bytes).ok()?;
            traps(&instruction.operation).then_some(instruction)
        }
        _ => None,
    }
}

const HLT: Instruction = Instruction { length: 1, operation: Operation::Hlt };

fn rewritten(rip: Gva, machine: &mut impl Machine) -> Option<Instruction> {
    let original = machine.original(rip)?;
    let instruction = decode::decode(original.as_slice()).ok()?;
    (instruction.length == original.length).then_some(instruction)
}

/// Whether it traps at CPL 3, whatever its operands are. Of those with
/// selectors only IRETQ is here: what it does in `vcpu` is what the guest's
/// tables say, and a real one might slip through with seL4's selectors.
const fn traps(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Hlt
            | Operation::Cli
            | Operation::Sti
            | Operation::Clts
            | Operation::Swapgs
            | Operation::Rdmsr
            | Operation::Wrmsr
            | Operation::Sysret { .. }
            | Operation::Iret { .. }
            | Operation::MovFromControl { .. }
            | Operation::MovToControl { .. }
            | Operation::MovFromDebug { .. }
            | Operation::MovToDebug { .. }
            | Operation::LoadTable { .. }
            | Operation::Lldt { source: Rm::Register(_) }
            | Operation::Ltr { source: Rm::Register(_) }
            | Operation::Invlpg { .. }
            | Operation::In { .. }
            | Operation::Out { .. }
            | Operation::Ins(_)
            | Operation::Outs(_)
    )
}

/// Whether it makes the machine flush translations.
const fn flushes(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::MovToControl { control: Control::Cr0 | Control::Cr3 | Control::Cr4, .. }
            | Operation::Invlpg { .. }
    )
}
