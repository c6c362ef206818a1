//! Recursive descent: what control flow reaches from a root is code.
//!
//! Roots that promise code (the entry point, function symbols) are followed
//! whatever comes. A *label* may stand before data, so what follows it counts
//! only if everything reached from it is made of instructions, stays inside
//! the regions, and shares no byte with what is known.

use std::collections::HashSet;

use iced_x86::{FlowControl, Instruction, OpKind};

use super::Code;
use super::marks::{FAILED, OTHER_MODE, START};

/// Follows control flow from `root`, in 64-bit code.
pub fn follow(code: &mut Code<'_>, root: u64) {
    let mut work = vec![root];
    while let Some(address) = work.pop() {
        let mut next = Some(address);
        while let Some(address) = next {
            let Some((region, index)) = code.locate(address) else {
                break;
            };
            if code.marks[region].at(index) & START != 0 {
                break;
            }
            let Some(instruction) = code.decode(address, 64) else {
                break;
            };
            code.marks[region].instruction(index, instruction.len());
            work.extend(target(&instruction));
            next = falls_through(&instruction).then(|| instruction.next_ip());
        }
    }
}

/// Follows control flow from the label at `root`; counts it as code or not at all.
pub fn try_label(code: &mut Code<'_>, root: u64) {
    let mut seen = HashSet::new();
    let kept = explore(code, root, &mut seen);
    for address in seen {
        let (Some((region, index)), Some(instruction)) =
            (code.locate(address), code.decode(address, 64))
        else {
            continue;
        };
        let marks = &mut code.marks[region];
        if kept && !marks.conflicts(index, instruction.len()) {
            marks.instruction(index, instruction.len());
        } else {
            marks.add(index, 1, FAILED);
        }
    }
}

/// Whether everything reached from `root` may be code; `seen` gets the new
/// instructions, those of a failure included so that none is decoded twice.
fn explore(code: &Code<'_>, root: u64, seen: &mut HashSet<u64>) -> bool {
    let mut work = vec![root];
    while let Some(address) = work.pop() {
        let Some((region, index)) = code.locate(address) else {
            return false;
        };
        let marks = &code.marks[region];
        if marks.at(index) & START != 0 || seen.contains(&address) {
            continue;
        }
        let Some(instruction) = code.decode(address, 64) else {
            return false;
        };
        let unfit = marks.at(index) & (FAILED | OTHER_MODE) != 0;
        if unfit || marks.conflicts(index, instruction.len()) {
            return false;
        }
        seen.insert(address);
        work.extend(target(&instruction));
        if falls_through(&instruction) {
            work.push(instruction.next_ip());
        }
    }
    true
}

/// Marks the 32-bit code reached from `root`, which the guest runs elsewhere
/// than here, and gives the 64-bit code that it jumps to.
pub fn follow_32(code: &mut Code<'_>, root: u64) -> Vec<u64> {
    let (mut work, mut seen, mut entered) = (vec![root], HashSet::new(), Vec::new());
    while let Some(address) = work.pop() {
        let Some((region, index)) = code.locate(address) else {
            continue;
        };
        if code.marks[region].at(index) & START != 0 || !seen.insert(address) {
            continue;
        }
        let Some(instruction) = code.decode(address, 32) else {
            continue;
        };
        if matches!(instruction.op0_kind(), OpKind::FarBranch32) {
            entered.push(u64::from(instruction.far_branch32()));
        }
        code.marks[region].add(index, instruction.len(), OTHER_MODE);
        work.extend(target(&instruction));
        if falls_through(&instruction) {
            work.push(instruction.next_ip());
        }
    }
    entered
}

/// Where a direct branch or call goes.
pub fn target(instruction: &Instruction) -> Option<u64> {
    let near = [OpKind::NearBranch16, OpKind::NearBranch32, OpKind::NearBranch64];
    (instruction.op_count() > 0 && near.contains(&instruction.op0_kind()))
        .then(|| instruction.near_branch_target())
}

fn falls_through(instruction: &Instruction) -> bool {
    !matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception
    )
}
