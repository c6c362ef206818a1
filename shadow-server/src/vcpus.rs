//! The guest's vCPUs: state, thread, and what they wait for.

use sel4::{CNodeCapData, CPtr, UserContext, cap};
use shadow_core::{PagingContext, SpaceId, VcpuId};
use system::cspace::{self, ServerSlots};
use vcpu::{Registers, VcpuState};
use zerocopy::FromZeros;

use crate::caps::Caps;
use crate::paging;

/// A vCPU.
pub struct Vcpu {
    id: VcpuId,
    thread: cap::Tcb,
    cnode: cap::CNode,
    /// Its state, in the page that the supervisor owns.
    pub state: &'static mut VcpuState,
    /// Its registers while it is stopped; stale while it runs.
    pub registers: Registers,
    /// The registers as the thread has them.
    written: Registers,
    /// The address space that its thread runs in.
    space: Option<SpaceId>,
    /// Whether an exit awaits its completion, and of which kind.
    pub waiting: Option<Waiting>,
}

/// What a completion does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It finishes an instruction.
    Instruction,
    /// It lets the instruction run again.
    Access,
    /// Nothing can complete it: the vCPU has shut down.
    Nothing,
}

impl Vcpu {
    /// vCPU number `id`, with its thread in the slots that the builder filled.
    pub fn new(
        id: VcpuId,
        index: usize,
        slots: &ServerSlots,
        state: &'static mut VcpuState,
    ) -> Self {
        Self {
            id,
            thread: cap::Tcb::from_bits(slots.vcpus.first + index as u64),
            cnode: cap::CNode::from_bits(slots.vcpu_cnodes.first + index as u64),
            state,
            registers: Registers::new_zeroed(),
            written: Registers::new_zeroed(),
            space: None,
            waiting: None,
        }
    }

    /// Its paging state.
    #[inline]
    pub fn context(&self) -> PagingContext {
        paging::context(self.id, self.state)
    }

    /// Fetches the registers of the stopped thread.
    pub fn read_registers(&mut self) -> sel4::Result<()> {
        let mut context = UserContext::default();
        self.thread
            .tcb_read_registers_into(false, UserContext::WORDS, &mut context)?;
        self.registers = Registers::from_words(*context.words());
        self.written = self.registers;
        Ok(())
    }

    /// Moves the thread to `space` if it is not there already.
    pub fn enter(&mut self, space: SpaceId, caps: &Caps) -> sel4::Result<()> {
        if self.space == Some(space) {
            return Ok(());
        }
        self.thread.tcb_set_space(
            CPtr::from_bits(cspace::vcpu::FAULT_ENDPOINT),
            self.cnode,
            Some(CNodeCapData::skip(64 - cspace::vcpu::RADIX as usize)),
            caps.space(space),
        )?;
        self.space = Some(space);
        Ok(())
    }

    /// RIP, RSP and RFLAGS for an answer that lets the thread run on, if no
    /// other register has changed since the thread stopped.
    pub fn first_registers(&mut self) -> Option<[u64; 4]> {
        let Registers {
            rip, rsp, rflags, ..
        } = self.registers;
        let unchanged = Registers {
            rip,
            rsp,
            rflags,
            ..self.written
        };
        (unchanged == self.registers).then(|| {
            self.written = self.registers;
            [rip, rsp, rflags, 0]
        })
    }

    /// Lets the thread run on with the registers as they are now. Only those
    /// up to the last that changed travel.
    pub fn resume(&mut self) -> sel4::Result<()> {
        let words = self.registers.to_words();
        let old = self.written.to_words();
        let changed = words.iter().zip(&old).rposition(|(new, old)| new != old);
        let count = changed.map_or(1, |last| last + 1);
        let mut context = UserContext::default();
        *context.words_mut() = words;
        self.written = self.registers;
        self.thread.tcb_write_registers(true, count, &context)
    }
}
