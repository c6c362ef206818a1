//! The entry points: a trap of the guest thread, the completion of an exit,
//! an external interrupt.

use x86::{Gva, PAGE_SIZE, PageFault, PageFaultCode, Rflags, Vector};

use crate::decode::{self, DecodeError, Instruction, MAX_LENGTH, Operation};
use crate::deliver::deliver;
use crate::execute::{Cpu, Done, Executed};
use crate::exit::{Completion, Original, Outcome, PendingExit, PendingKind, Trap};
use crate::fault::{Event, Fault, Source};
use crate::machine::{Access, Machine};
use crate::{Registers, VcpuState, ahead};

/// DR6.BS: a single step (SDM vol. 3B, figure 17-1).
const DR6_BS: u64 = 1 << 14;
/// DR6.B0 to B3: the breakpoints that were hit. A debug exception may clear
/// those that were not (SDM vol. 3B, §17.2.3), and QEMU's do.
const DR6_HITS: u64 = 0xf;

/// Handles a trap of the guest thread.
///
/// On [`Outcome::Resume`] the thread goes on with `registers`, in the view
/// that `state` now calls for (CR3 and CPL may have changed).
pub fn handle(
    state: &mut VcpuState,
    registers: &mut Registers,
    trap: Trap,
    machine: &mut impl Machine,
) -> Outcome {
    state.pending = PendingExit::default();
    state.activity = VcpuState::RUNNING;
    let outcome = take(state, registers, trap, machine);
    ahead::go_on(state, registers, machine, outcome)
}

fn take(
    state: &mut VcpuState,
    registers: &mut Registers,
    trap: Trap,
    machine: &mut impl Machine,
) -> Outcome {
    match trap {
        Trap::PageFault(fault) => page_fault(state, registers, fault, machine),
        Trap::SystemCall => two_bytes(state, registers, Operation::Syscall, machine),
        Trap::Interrupt { vector } => {
            two_bytes(state, registers, Operation::Int { vector }, machine)
        }
        // What is there now may be another instruction than what trapped, if
        // another vCPU wrote it: it runs again then.
        Trap::SoftwareInterrupt => emulate(state, registers, machine, None),
        Trap::Known(instruction) => start(state, registers, instruction, machine),
        Trap::Rewritten(original) => rewritten(state, registers, &original, machine),
        Trap::Exception { vector, error_code } => {
            exception(state, registers, vector, error_code, machine)
        }
    }
}

/// The trap says which instruction it is: nothing is fetched.
fn two_bytes(
    state: &mut VcpuState,
    registers: &mut Registers,
    operation: Operation,
    machine: &mut impl Machine,
) -> Outcome {
    let instruction = Instruction { length: 2, operation };
    start(state, registers, instruction, machine)
}

/// Executes an instruction that is not in memory any more.
fn rewritten(
    state: &mut VcpuState,
    registers: &mut Registers,
    original: &Original,
    machine: &mut impl Machine,
) -> Outcome {
    match decode::decode(original.as_slice()) {
        Ok(instruction) if instruction.length == original.length => {
            start(state, registers, instruction, machine)
        }
        _ => deliver(state, registers, Fault::INVALID_OPCODE.event(), machine),
    }
}

/// Finishes the instruction that [`Outcome::Exit`] left unfinished. Without
/// one, nothing happens.
pub fn complete(
    state: &mut VcpuState,
    registers: &mut Registers,
    completion: Completion,
    machine: &mut impl Machine,
) -> Outcome {
    let pending = core::mem::take(&mut state.pending);
    let Some(kind) = pending.kind() else {
        return Outcome::Resume;
    };
    state.activity = VcpuState::RUNNING;
    if kind == PendingKind::Halt {
        return Outcome::Resume;
    }
    let stepping = is_stepping(registers);
    let mut cpu = Cpu { state, registers, machine, length: pending.length & 0xf };
    let executed = cpu.finish(pending, kind, completion);
    let outcome = retire(cpu, executed, stepping);
    ahead::go_on(state, registers, machine, outcome)
}

/// Delivers an external interrupt. The caller has checked
/// [`VcpuState::interrupt_window_open`]; a halted vCPU wakes up. An exit that
/// awaits its completion is dropped: its instruction runs again after the handler.
pub fn inject_interrupt(
    state: &mut VcpuState,
    registers: &mut Registers,
    vector: u8,
    machine: &mut impl Machine,
) -> Outcome {
    state.pending = PendingExit::default();
    let outcome = deliver(state, registers, Event::interrupt(vector), machine);
    ahead::go_on(state, registers, machine, outcome)
}

/// A page fault of the guest's own instruction: the U bit is the virtual CPL's.
fn page_fault(
    state: &mut VcpuState,
    registers: &mut Registers,
    fault: PageFault,
    machine: &mut impl Machine,
) -> Outcome {
    let mut code = fault.code;
    code.set(PageFaultCode::USER, state.privilege().is_user());
    deliver(state, registers, Fault::Page(PageFault { code, ..fault }).event(), machine)
}

fn exception(
    state: &mut VcpuState,
    registers: &mut Registers,
    vector: u64,
    error_code: u64,
    machine: &mut impl Machine,
) -> Outcome {
    let reflected = Event {
        vector: vector as u8,
        error_code: None,
        fault_address: None,
        source: Source::Exception,
    };
    match Vector::from_number(vector) {
        Some(vector) => {
            let reflected = Event::exception(vector, error_code as u16 as u32);
            match vector {
                Vector::Debug => {
                    if is_stepping(registers) {
                        state.dr[6] = state.dr[6] & !DR6_HITS | DR6_BS;
                    }
                    deliver(state, registers, reflected, machine)
                }
                Vector::Breakpoint => breakpoint(state, registers, machine),
                // What a deprivileged instruction raises.
                Vector::InvalidOpcode
                | Vector::InvalidTss
                | Vector::SegmentNotPresent
                | Vector::StackFault
                | Vector::GeneralProtection => emulate(state, registers, machine, Some(reflected)),
                _ => deliver(state, registers, reflected, machine),
            }
        }
        None => deliver(state, registers, reflected, machine),
    }
}

/// INT3 ran at CPL 3, so RIP is behind it. If delivery fails, the frame of
/// what follows must show the instruction itself.
fn breakpoint(
    state: &mut VcpuState,
    registers: &mut Registers,
    machine: &mut impl Machine,
) -> Outcome {
    let return_rip = registers.rip;
    registers.rip = return_rip.wrapping_sub(breakpoint_length(state, return_rip, machine));
    deliver(state, registers, Event::software(3, return_rip), machine)
}

/// 1 for INT3 (CC), 2 for INT 3 (CD 03) before `return_rip`.
fn breakpoint_length(state: &VcpuState, return_rip: u64, machine: &mut impl Machine) -> u64 {
    let last = Gva::new(return_rip.wrapping_sub(1));
    let mut byte = [0];
    let access = Access::fetch(state.privilege());
    if last.is_canonical() && machine.fetch(last, &mut byte, access).is_ok() && byte == [3] {
        2
    } else {
        1
    }
}

/// Executes the instruction at RIP if it is one of ours; otherwise delivers
/// `reflected`, or lets the thread run on.
fn emulate(
    state: &mut VcpuState,
    registers: &mut Registers,
    machine: &mut impl Machine,
    reflected: Option<Event>,
) -> Outcome {
    match fetch(state, registers, machine) {
        Ok(Ok(instruction)) => start(state, registers, instruction, machine),
        Ok(Err(_)) => match reflected {
            Some(event) => deliver(state, registers, event, machine),
            None => Outcome::Resume,
        },
        Err(fault) => deliver(state, registers, fault.event(), machine),
    }
}

/// Fetches and decodes at RIP; the second page only if the instruction
/// reaches into it.
fn fetch(
    state: &VcpuState,
    registers: &Registers,
    machine: &mut impl Machine,
) -> Result<Result<Instruction, DecodeError>, Fault> {
    let rip = Gva::new(registers.rip);
    let access = Access::fetch(state.privilege());
    let mut bytes = [0; MAX_LENGTH];
    let in_page = (PAGE_SIZE - rip.page_offset()) as usize;
    if !rip.is_canonical() {
        return Err(Fault::GENERAL_PROTECTION);
    }
    if in_page >= MAX_LENGTH {
        machine.fetch(rip, &mut bytes, access)?;
        return Ok(machine.decode(rip, &bytes));
    }
    let (first, rest) = bytes.split_at_mut(in_page);
    machine.fetch(rip, first, access)?;
    let decoded = decode::decode(first);
    if decoded != Err(DecodeError::Truncated) || rest.is_empty() {
        return Ok(decoded);
    }
    let second = rip.wrapping_add(in_page as u64);
    if !second.is_canonical() {
        return Err(Fault::GENERAL_PROTECTION);
    }
    machine.fetch(second, rest, access)?;
    Ok(decode::decode(&bytes))
}

/// Executes `instruction` with the registers that it needs.
pub(crate) fn start(
    state: &mut VcpuState,
    registers: &mut Registers,
    instruction: Instruction,
    machine: &mut impl Machine,
) -> Outcome {
    let needed = instruction.operation.registers();
    if instruction.operation.only_reads() {
        machine.read_registers(registers, needed);
    } else {
        machine.load_registers(registers, needed);
    }
    run(state, registers, instruction, machine)
}

fn run(
    state: &mut VcpuState,
    registers: &mut Registers,
    instruction: Instruction,
    machine: &mut impl Machine,
) -> Outcome {
    let stepping = is_stepping(registers);
    let mut cpu = Cpu { state, registers, machine, length: instruction.length };
    let executed = cpu.execute(instruction.operation);
    // SYSCALL and SYSRET step by the flag that they load, so that a handler
    // entered with TF masked is not stepped (AMD APM vol. 2, §13.1.4).
    let stepping = match instruction.operation {
        Operation::Syscall | Operation::Sysret { .. } => is_stepping(cpu.registers),
        // The shadow of MOV SS holds debug traps back too.
        _ if cpu.state.interruptibility & VcpuState::SHADOW_MOV_SS != 0
            && cpu.state.shadow_rip == cpu.next_rip() =>
        {
            false
        }
        _ => stepping,
    };
    retire(cpu, executed, stepping)
}

/// Ends an instruction: moves RIP, and delivers what it raised.
#[inline(always)] // the end of most traps
fn retire<M: Machine>(cpu: Cpu<'_, M>, executed: Executed, stepping: bool) -> Outcome {
    let next_rip = cpu.next_rip();
    let Cpu { state, registers, machine, .. } = cpu;
    let event = match executed {
        Ok(Done::Next) => {
            registers.rip = next_rip;
            return settle(state, registers, machine, stepping);
        }
        Ok(Done::Jumped | Done::Again) => return settle(state, registers, machine, stepping),
        Ok(Done::Exit(exit, pending)) => {
            if pending.kind() == Some(PendingKind::Halt) {
                registers.rip = next_rip;
                state.activity = VcpuState::HALTED;
            }
            state.pending = pending;
            return Outcome::Exit(exit);
        }
        Ok(Done::Software(vector)) => Event::software(vector, next_rip),
        Ok(Done::Int1) => Event::int1(next_rip),
        Err(fault) => fault.event(),
    };
    deliver(state, registers, event, machine)
}

/// What follows an instruction that is done: the end of an interrupt shadow,
/// a single-step trap, and the fault of a RIP that ran off the canonical range.
fn settle(
    state: &mut VcpuState,
    registers: &mut Registers,
    machine: &mut impl Machine,
    stepping: bool,
) -> Outcome {
    if state.shadow_rip != registers.rip {
        state.interruptibility = 0;
    }
    if stepping {
        state.dr[6] = state.dr[6] & !DR6_HITS | DR6_BS;
        return deliver(state, registers, Event::exception(Vector::Debug, 0), machine);
    }
    if !Gva::new(registers.rip).is_canonical() {
        return deliver(state, registers, Fault::GENERAL_PROTECTION.event(), machine);
    }
    Outcome::Resume
}

const fn is_stepping(registers: &Registers) -> bool {
    registers.rflags & Rflags::TF.bits() != 0
}
