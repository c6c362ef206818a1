//! Port input and output, with the I/O permission bitmap.

use x86::Rflags;

use super::{Cpu, Done, Executed};
use crate::decode::{Port, StringStep};
use crate::exit::{Exit, PendingExit, PendingKind};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::memory::{self, Through};
use crate::segment::SegmentName;
use crate::tables;

/// Offset of the I/O map base in a 64-bit TSS (SDM vol. 3A, figure 7-11).
const IO_MAP_BASE: u64 = 102;
const RCX: u8 = 1;
const RSI: u8 = 6;
const RDI: u8 = 7;

impl<M: Machine> Cpu<'_, M> {
    pub(super) fn port_in(&mut self, size: u8, port: Port) -> Executed {
        let port = self.permitted_port(port, size)?;
        let pending = PendingExit::new(PendingKind::Accumulator, self.length, size, 0);
        Ok(Done::Exit(Exit::PortIn { port, size }, pending))
    }

    pub(super) fn port_out(&mut self, size: u8, port: Port) -> Executed {
        let port = self.permitted_port(port, size)?;
        let value = low(self.registers.rax, size);
        let pending = PendingExit::new(PendingKind::Retire, self.length, size, 0);
        Ok(Done::Exit(Exit::PortOut { port, size, value }, pending))
    }

    /// One step of OUTS per exit: the source is read before the port is written.
    pub(super) fn outs(&mut self, step: StringStep) -> Executed {
        let port = self.permitted_port(Port::Dx, step.size)?;
        let pending = pending(PendingKind::Outs, self.length, &step);
        if pending.repeats() && self.string_register(pending, RCX) == 0 {
            return Ok(Done::Next);
        }
        let base = match step.segment {
            Some(SegmentName::Fs) => self.registers.fs_base,
            Some(SegmentName::Gs) => self.registers.gs_base,
            _ => 0,
        };
        let gva = base.wrapping_add(self.string_register(pending, RSI));
        let privilege = self.state.privilege();
        let value =
            memory::read_sized(self.machine, gva, step.size, privilege, Through::Data)? as u32;
        Ok(Done::Exit(Exit::PortOut { port, size: step.size, value }, pending))
    }

    /// One step of INS per exit: the target is probed before the port is
    /// read, so that a page fault costs no input.
    pub(super) fn ins(&mut self, step: StringStep) -> Executed {
        let port = self.permitted_port(Port::Dx, step.size)?;
        let pending = pending(PendingKind::Ins, self.length, &step);
        if pending.repeats() && self.string_register(pending, RCX) == 0 {
            return Ok(Done::Next);
        }
        let gva = self.string_register(pending, RDI);
        let privilege = self.state.privilege();
        memory::probe_write(self.machine, gva, step.size.into(), privilege)?;
        Ok(Done::Exit(Exit::PortIn { port, size: step.size }, pending))
    }

    pub(super) fn finish_outs(&mut self, pending: PendingExit) -> Done {
        self.advance_string(pending, RSI)
    }

    pub(super) fn finish_ins(&mut self, pending: PendingExit, value: u64) -> Executed {
        let gva = self.string_register(pending, RDI);
        let privilege = self.state.privilege();
        let size = pending.size;
        memory::write_sized(self.machine, gva, size, value, privilege, Through::Data)?;
        Ok(self.advance_string(pending, RDI))
    }

    /// Moves the pointer by one element in the direction of DF, and counts.
    fn advance_string(&mut self, pending: PendingExit, pointer: u8) -> Done {
        let size = u64::from(pending.size);
        let down = self.registers.rflags & Rflags::DF.bits() != 0;
        let old = self.string_register(pending, pointer);
        let new = if down { old.wrapping_sub(size) } else { old.wrapping_add(size) };
        self.set_string_register(pending, pointer, new);
        if !pending.repeats() {
            return Done::Next;
        }
        let left = self.string_register(pending, RCX).wrapping_sub(1);
        self.set_string_register(pending, RCX, left);
        if left == 0 { Done::Next } else { Done::Again }
    }

    fn string_register(&self, pending: PendingExit, number: u8) -> u64 {
        let value = self.registers.get(number);
        if pending.address_32() { value & 0xffff_ffff } else { value }
    }

    fn set_string_register(&mut self, pending: PendingExit, number: u8, value: u64) {
        let bytes = if pending.address_32() { 4 } else { 8 };
        self.registers.set_sized(number, bytes, value);
    }

    /// The port, if the instruction may use it: CPL must not exceed IOPL, or
    /// the bits of all its bytes in the TSS must be clear (SDM vol. 1, §18.5.2).
    fn permitted_port(&mut self, port: Port, size: u8) -> Result<u16, Fault> {
        let port = match port {
            Port::Immediate(port) => port.into(),
            Port::Dx => self.registers.rdx as u16,
        };
        if self.state.cpl() <= self.state.iopl() {
            return Ok(port);
        }
        let base = tables::tss(self.state, IO_MAP_BASE, self.machine)?
            .map(u16::from_le_bytes)
            .ok_or(Fault::GENERAL_PROTECTION)?;
        // Two bytes are read always, as the bits may cross a byte.
        let offset = u64::from(base) + u64::from(port / 8);
        let bits = tables::tss(self.state, offset, self.machine)?
            .map(u16::from_le_bytes)
            .ok_or(Fault::GENERAL_PROTECTION)?;
        let mask = (1_u16 << size.min(4)) - 1;
        if bits >> (port % 8) & mask == 0 { Ok(port) } else { Err(Fault::GENERAL_PROTECTION) }
    }
}

const fn pending(kind: PendingKind, length: u8, step: &StringStep) -> PendingExit {
    let repeat = if step.repeat { PendingExit::REPEAT } else { 0 };
    let address = if step.address_32 { PendingExit::ADDRESS_32 } else { 0 };
    PendingExit::new(kind, length, step.size, repeat | address)
}

/// The low `bytes` of `value`.
const fn low(value: u64, bytes: u8) -> u32 {
    match bytes {
        1 => value as u8 as u32,
        2 => value as u16 as u32,
        _ => value as u32,
    }
}
