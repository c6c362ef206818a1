//! Delivery of exceptions and interrupts through the guest's IDT in 64-bit mode.
//!
//! ```text
//!  event → gate (limit, type, DPL, P) → code segment (type, DPL, P, L)
//!        → stack (IST, RSPn of the TSS, or the current one; aligned to 16)
//!        → frame SS RSP RFLAGS CS RIP [error code] in one write → commit
//! ```
//!
//! Nothing of the CPU changes before everything that can fault is done, so a
//! second fault starts over from the state at the first one. Source: SDM
//! vol. 3A, §6.14 and vol. 2A, "INT n", pseudo-code of IA-32e mode.

use x86::{Gva, Rflags};

use crate::execute::DR7_GD;
use crate::exit::{Outcome, TripleFault};
use crate::fault::{Event, Fault, IDT, Next, Source};
use crate::machine::{Machine, Privilege};
use crate::memory::{self, Through};
use crate::segment::{Segment, Selector};
use crate::{Registers, VcpuState, tables};

const SYSTEM: Privilege = Privilege::ImplicitSupervisor;
/// Type of a 64-bit interrupt gate, which clears IF (SDM vol. 3A, table 3-2).
const INTERRUPT_GATE: u8 = 0xe;
/// Type of a 64-bit trap gate, which keeps IF.
const TRAP_GATE: u8 = 0xf;

/// Delivers `event`, or what its delivery raises, until one handler is entered
/// or the CPU shuts down. At most four rounds, see [`Event::then`].
pub(crate) fn deliver(
    state: &mut VcpuState,
    registers: &mut Registers,
    event: Event,
    machine: &mut impl Machine,
) -> Outcome {
    let first = event.vector;
    let mut event = event;
    loop {
        if let Some(address) = event.fault_address {
            state.set_fault_address(address);
            machine.page_fault_delivered(address);
        }
        let fault = match enter(state, registers, &event, machine) {
            Ok(()) => return Outcome::Resume,
            Err(fault) => fault.with_ext(event.ext()),
        };
        match event.then(fault) {
            Next::Deliver(next) => event = next,
            Next::Shutdown => {
                let last = fault.event();
                return Outcome::Shutdown(TripleFault {
                    first,
                    last: last.vector,
                    error_code: last.error_code.unwrap_or(0),
                });
            }
        }
    }
}

/// A gate of the IDT, checked.
struct Gate {
    selector: Selector,
    offset: u64,
    stack: u8,
    clears_if: bool,
}

/// One attempt to enter the handler of `event`.
fn enter(
    state: &mut VcpuState,
    registers: &mut Registers,
    event: &Event,
    machine: &mut impl Machine,
) -> Result<(), Fault> {
    let gate = read_gate(state, event, machine)?;
    let mut code = code_segment(state, gate.selector, machine)?;
    let cpl = if code.is_conforming_code() { state.cpl() } else { code.dpl() };
    let top = stack_top(state, registers, &gate, cpl, machine)?;
    if !Gva::new(gate.offset).is_canonical() {
        return Err(Fault::GENERAL_PROTECTION);
    }
    tables::mark(state, &mut code, Segment::ACCESSED, machine)?;
    let rsp = push_frame(state, registers, event, top, cpl, machine)?;

    code.selector = gate.selector.with_rpl(cpl).0;
    state.cs = code;
    if cpl != state.cpl() {
        // A change of privilege loads a null SS (SDM vol. 3A, §6.14.2).
        state.ss = Segment::null(cpl.into());
        state.cpl = cpl.into();
    }
    let mut cleared = Rflags::TF | Rflags::NT;
    if gate.clears_if {
        cleared |= Rflags::IF;
    }
    state.load_guest_rflags(registers, 0, cleared.bits());
    if event.vector == 1 && !event.is_software() {
        // SDM vol. 3B, §17.2.4: the handler may use the debug registers.
        state.dr[7] &= !DR7_GD;
    }
    state.interruptibility = 0;
    state.activity = VcpuState::RUNNING;
    registers.rsp = rsp;
    registers.rip = gate.offset;
    Ok(())
}

/// Reads and checks the gate (SDM vol. 3A, §6.12.1.3 and figure 6-8).
fn read_gate(state: &VcpuState, event: &Event, machine: &mut impl Machine) -> Result<Gate, Fault> {
    let offset = u64::from(event.vector) * 16;
    let selector = Selector(u16::from(event.vector) << 3);
    let code = selector.error_code() | IDT;
    let protection = Fault::Exception(x86::Vector::GeneralProtection, code);
    if offset + 15 > u64::from(state.idtr.limit) {
        return Err(protection);
    }
    let address = state.idtr.base.wrapping_add(offset);
    let bytes: [u8; 16] = memory::read(machine, address, SYSTEM, Through::Data)?;
    let gate = u128::from_le_bytes(bytes);
    let attributes = (gate >> 40) as u8;
    // The S bit is part of the type: it is clear in a gate.
    let clears_if = match attributes & 0x1f {
        INTERRUPT_GATE => true,
        TRAP_GATE => false,
        _ => return Err(protection),
    };
    if event.is_software() && (attributes >> 5 & 3) < state.cpl() {
        return Err(protection);
    }
    if attributes & 0x80 == 0 {
        return Err(Fault::Exception(x86::Vector::SegmentNotPresent, code));
    }
    Ok(Gate {
        selector: Selector((gate >> 16) as u16),
        offset: (gate & 0xffff) as u64 | (gate >> 48 << 16) as u64,
        stack: (gate >> 32 & 7) as u8,
        clears_if,
    })
}

/// Reads and checks the handler's code segment.
fn code_segment(
    state: &VcpuState,
    selector: Selector,
    machine: &mut impl Machine,
) -> Result<Segment, Fault> {
    if selector.is_null() {
        return Err(Fault::GENERAL_PROTECTION);
    }
    let segment = tables::descriptor(state, selector, machine)?.segment(selector);
    if !segment.is_code() || segment.dpl() > state.cpl() {
        return Err(Fault::protection(selector));
    }
    if !segment.is_present() {
        return Err(Fault::not_present(selector));
    }
    if !segment.is_long_code() {
        return Err(Fault::protection(selector));
    }
    Ok(segment)
}

/// Where the frame ends: IST, RSPn, or the current stack, aligned down to 16
/// (SDM vol. 3A, §6.14.2, §6.14.4 and figure 7-11).
fn stack_top(
    state: &VcpuState,
    registers: &Registers,
    gate: &Gate,
    cpl: u8,
    machine: &mut impl Machine,
) -> Result<u64, Fault> {
    let offset = match gate.stack {
        0 if cpl == state.cpl() => return Ok(registers.rsp & !15),
        0 => 4 + 8 * u64::from(cpl),
        stack => 36 + 8 * (u64::from(stack) - 1),
    };
    match tables::tss(state, offset, machine)? {
        Some(bytes) => Ok(u64::from_le_bytes(bytes) & !15),
        None => Err(Fault::invalid_tss(state.tr.selector())),
    }
}

/// Pushes the frame with the new privilege and returns the new RSP.
fn push_frame(
    state: &VcpuState,
    registers: &Registers,
    event: &Event,
    top: u64,
    cpl: u8,
    machine: &mut impl Machine,
) -> Result<u64, Fault> {
    let mut rflags = state.guest_rflags(registers);
    let interrupt = matches!(event.source, Source::Interrupt);
    if event.pushes_resume_flag() || interrupt && state.resumes(registers) {
        rflags |= Rflags::RF.bits();
    }
    let rip = match event.source {
        Source::Software { return_rip } | Source::Int1 { return_rip } => return_rip,
        Source::Exception | Source::Interrupt => registers.rip,
    };
    // From the lowest address up.
    let words = [
        event.error_code.unwrap_or(0).into(),
        rip,
        state.cs.selector.into(),
        rflags,
        registers.rsp,
        state.ss.selector.into(),
    ];
    let mut bytes = [0; 48];
    for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
        slot.copy_from_slice(&u64::to_le_bytes(word));
    }
    let skipped = if event.error_code.is_some() { 0 } else { 8 };
    let frame = bytes.get(skipped..).unwrap_or(&bytes);
    let rsp = top.wrapping_sub(frame.len() as u64);
    memory::write(machine, rsp, frame, Privilege::of_cpl(cpl), Through::Stack)?;
    Ok(rsp)
}
