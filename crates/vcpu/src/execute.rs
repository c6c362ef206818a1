//! Execution of decoded instructions.
//!
//! Each instruction checks everything that can fault before it changes
//! anything. RIP is moved by the caller, except by far transfers.

mod access_rights;
mod control;
mod debug;
mod descriptor_tables;
mod flags;
mod msr;
mod port;
mod segments;
mod system_call;
mod transfer;

pub(crate) use debug::DR7_GD;

use x86::{Cr4, Rflags};

use crate::decode::{Memory, Operation, Rm, Width};
use crate::exit::{Completion, Exit, PendingExit, PendingKind};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::{Registers, VcpuState};
use crate::{cpuid, memory};

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The next instruction follows.
    Next,
    /// RIP is set already.
    Jumped,
    /// The same instruction again: a step of a string instruction.
    Again,
    /// The platform acts first.
    Exit(Exit, PendingExit),
    /// INT n or INT3: through the IDT.
    Software(u8),
    /// INT1: #DB through the IDT.
    Int1,
}

pub(crate) type Executed = Result<Done, Fault>;

/// All that an instruction works on.
pub(crate) struct Cpu<'a, M> {
    pub state: &'a mut VcpuState,
    pub registers: &'a mut Registers,
    pub machine: &'a mut M,
    /// Length of the instruction.
    pub length: u8,
}

impl<M: Machine> Cpu<'_, M> {
    /// Executes `operation`.
    pub(crate) fn execute(&mut self, operation: Operation) -> Executed {
        match operation {
            Operation::Hlt => self.hlt(),
            Operation::Cli => self.set_interrupt_flag(false),
            Operation::Sti => self.set_interrupt_flag(true),
            Operation::Clts => self.clts(),
            Operation::Invd | Operation::Wbinvd => self.privileged_no_op(),
            Operation::Swapgs => self.swapgs(),
            Operation::Rdmsr => self.rdmsr(),
            Operation::Wrmsr => self.wrmsr(),
            Operation::Rdtsc => self.rdtsc(),
            Operation::Cpuid => Ok(self.cpuid()),
            Operation::Syscall => self.syscall(),
            Operation::Sysret { long } => self.sysret(long),
            Operation::Int1 => Ok(Done::Int1),
            Operation::Int3 => Ok(Done::Software(3)),
            Operation::Int { vector } => Ok(Done::Software(vector)),
            Operation::Iret { width } => self.iret(width),
            Operation::FarReturn { width, release } => self.far_return(width, release),
            Operation::FarJump { width, memory } => self.far_jump(width, memory),
            Operation::FarCall { width, memory } => self.far_call(width, memory),
            Operation::MovFromControl { control, register } => {
                self.mov_from_control(control, register)
            }
            Operation::MovToControl { control, register } => self.mov_to_control(control, register),
            Operation::MovFromDebug { debug, register } => self.mov_from_debug(debug, register),
            Operation::MovToDebug { debug, register } => self.mov_to_debug(debug, register),
            Operation::LoadTable { table, memory } => self.load_table(table, memory),
            Operation::StoreTable { table, memory } => self.store_table(table, memory),
            Operation::Lldt { source } => self.lldt(source),
            Operation::Ltr { source } => self.ltr(source),
            Operation::Sldt { target, width } => {
                self.store_word(target, width, self.state.ldtr.selector.into())
            }
            Operation::Str { target, width } => {
                self.store_word(target, width, self.state.tr.selector.into())
            }
            Operation::Smsw { target, width } => self.store_word(target, width, self.state.cr0),
            Operation::Lmsw { source } => self.lmsw(source),
            Operation::Invlpg { memory } => self.invlpg(memory),
            Operation::MovFromSegment { segment, target, width } => {
                let selector = self.state.segment(segment).selector;
                self.store_word(target, width, selector.into())
            }
            Operation::MovToSegment { segment, source } => self.mov_to_segment(segment, source),
            Operation::PushSegment { segment, width } => self.push_segment(segment, width),
            Operation::PopSegment { segment, width } => self.pop_segment(segment, width),
            Operation::LoadFarPointer { segment, register, width, memory } => {
                self.load_far_pointer(segment, register, width, memory)
            }
            Operation::PushFlags { width } => self.push_flags(width),
            Operation::PopFlags { width } => self.pop_flags(width),
            Operation::Lar { register, width, source } => {
                self.load_access_rights(register, width, source)
            }
            Operation::Lsl { register, width, source } => {
                self.load_segment_limit(register, width, source)
            }
            Operation::Verify { source, write } => self.verify(source, write),
            Operation::In { size, port } => self.port_in(size, port),
            Operation::Out { size, port } => self.port_out(size, port),
            Operation::Ins(step) => self.ins(step),
            Operation::Outs(step) => self.outs(step),
            // There are no performance counters (SDM vol. 2B).
            Operation::Rdpmc => Err(Fault::GENERAL_PROTECTION),
            // Not valid in long mode (AMD APM vol. 3, SYSENTER), not offered
            // in CPUID, or their CR4 bits are not.
            Operation::Sysenter
            | Operation::Sysexit { .. }
            | Operation::Invpcid
            | Operation::Rdtscp
            | Operation::Monitor
            | Operation::Mwait
            | Operation::Xgetbv
            | Operation::Xsetbv
            | Operation::FsGsBase
            | Operation::Ud2 => Err(Fault::INVALID_OPCODE),
        }
    }

    /// Address of the next instruction.
    pub(crate) const fn next_rip(&self) -> u64 {
        self.registers.rip.wrapping_add(self.length as u64)
    }

    /// #GP(0) above CPL 0.
    const fn require_cpl0(&self) -> Result<(), Fault> {
        if self.state.cpl() == 0 { Ok(()) } else { Err(Fault::GENERAL_PROTECTION) }
    }

    fn privileged_no_op(&self) -> Executed {
        self.require_cpl0()?;
        Ok(Done::Next)
    }

    /// CLI and STI (SDM vol. 2; VME and PVI are not offered). STI shields the
    /// next instruction if interrupts were off.
    fn set_interrupt_flag(&mut self, enabled: bool) -> Executed {
        if self.state.cpl() > self.state.iopl() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let flag = Rflags::IF.bits();
        if enabled && !self.state.interrupts_enabled() {
            self.state.set_shadow(VcpuState::SHADOW_STI, self.next_rip());
        }
        self.state.rflags =
            if enabled { self.state.rflags | flag } else { self.state.rflags & !flag };
        Ok(Done::Next)
    }

    /// HLT. Single stepping ends it at once.
    fn hlt(&mut self) -> Executed {
        self.require_cpl0()?;
        if self.registers.rflags & Rflags::TF.bits() != 0 {
            return Ok(Done::Next);
        }
        let interrupts_enabled = self.state.interrupts_enabled();
        let pending = PendingExit::new(PendingKind::Halt, self.length, 0, 0);
        Ok(Done::Exit(Exit::Halt { interrupts_enabled }, pending))
    }

    fn cpuid(&mut self) -> Done {
        let (number, subleaf) = (self.registers.rax as u32, self.registers.rcx as u32);
        let [a, b, c, d] = cpuid::leaf(number, subleaf, &self.state.topology);
        self.registers.rax = a.into();
        self.registers.rbx = b.into();
        self.registers.rcx = c.into();
        self.registers.rdx = d.into();
        Done::Next
    }

    /// SDM vol. 2B, RDTSC: the register that RDMSR reads too.
    fn rdtsc(&self) -> Executed {
        if self.state.cr4().contains(Cr4::TSD) && self.state.cpl() > 0 {
            return Err(Fault::GENERAL_PROTECTION);
        }
        Ok(self.read_msr_by_exit(msr::TSC))
    }

    /// Linear address of a memory operand.
    fn linear(&self, operand: &Memory) -> u64 {
        operand.linear(self.registers, self.next_rip())
    }

    /// Reads a 16-bit operand.
    fn load_word(&mut self, source: Rm) -> Result<u16, Fault> {
        match source {
            Rm::Register(number) => Ok(self.registers.get(number) as u16),
            Rm::Memory(operand) => {
                let gva = self.linear(&operand);
                let privilege = self.state.privilege();
                memory::read(self.machine, gva, privilege, operand.through())
                    .map(u16::from_le_bytes)
            }
        }
    }

    /// Writes a register operand in `width`, or always 16 bits to memory.
    fn store_word(&mut self, target: Rm, width: Width, value: u64) -> Executed {
        match target {
            Rm::Register(number) => self.registers.set_sized(number, width.bytes(), value),
            Rm::Memory(operand) => {
                let gva = self.linear(&operand);
                let privilege = self.state.privilege();
                let through = operand.through();
                memory::write_sized(self.machine, gva, 2, value, privilege, through)?;
            }
        }
        Ok(Done::Next)
    }

    /// Finishes the instruction whose exit `pending` describes.
    pub(crate) fn finish(
        &mut self,
        pending: PendingExit,
        kind: PendingKind,
        completion: Completion,
    ) -> Executed {
        let value = match completion {
            Completion::Exception { vector, error_code } => {
                return Err(Fault::Exception(vector, error_code as u16));
            }
            Completion::Value(value) => value,
            Completion::Done => 0,
        };
        match kind {
            PendingKind::Retire | PendingKind::Halt => {}
            PendingKind::Accumulator => self.registers.set_sized(0, pending.size, value),
            PendingKind::ReadMsr => self.set_edx_eax(value),
            PendingKind::Outs => return Ok(self.finish_outs(pending)),
            PendingKind::Ins => return self.finish_ins(pending, value),
        }
        Ok(Done::Next)
    }
}
