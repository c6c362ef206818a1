//! SYSCALL, SYSRET and SWAPGS.

use x86::{Efer, Gva, Rflags};

use super::{Cpu, Done, Executed};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::segment::{Segment, Selector};

/// Flags that SYSRET takes from R11: all but RF, VM and the undefined ones
/// (SDM vol. 2B, SYSRET).
const SYSRET_FLAGS: u64 = 0x3c_7fd7;

impl<M: Machine> Cpu<'_, M> {
    /// SDM vol. 2B, SYSCALL. CS and SS get fixed contents; no table is read.
    pub(super) fn syscall(&mut self) -> Executed {
        if !self.state.efer().contains(Efer::SCE) {
            return Err(Fault::INVALID_OPCODE);
        }
        let rflags = self.state.guest_rflags(self.registers);
        self.registers.rcx = self.next_rip();
        self.registers.r11 = rflags;
        let masked = rflags & !self.state.fmask;
        self.state.set_guest_rflags(self.registers, masked);
        let code = (self.state.star >> 32) as u16 & !3;
        self.state.cs = Segment::flat_code(code, 0);
        self.state.ss = Segment::flat_data(code.wrapping_add(8), 0);
        self.state.cpl = 0;
        self.registers.rip = self.state.lstar;
        Ok(Done::Jumped)
    }

    /// SDM vol. 2B, SYSRET. Without REX.W it would enter 32-bit mode, which
    /// guests do not have: #GP(0).
    pub(super) fn sysret(&mut self, long: bool) -> Executed {
        if !self.state.efer().contains(Efer::SCE) {
            return Err(Fault::INVALID_OPCODE);
        }
        self.require_cpl0()?;
        if !long || !Gva::new(self.registers.rcx).is_canonical() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let base = (self.state.star >> 48) as u16;
        let code = Selector(base.wrapping_add(16)).with_rpl(3);
        let stack = Selector(base.wrapping_add(8)).with_rpl(3);
        self.state.cs = Segment::flat_code(code.0, 3);
        self.state.ss = Segment::flat_data(stack.0, 3);
        self.state.cpl = 3;
        let rflags = self.registers.r11 & SYSRET_FLAGS | Rflags::FIXED.bits();
        self.state.set_guest_rflags(self.registers, rflags);
        self.registers.rip = self.registers.rcx;
        Ok(Done::Jumped)
    }

    pub(super) fn swapgs(&mut self) -> Executed {
        self.require_cpl0()?;
        core::mem::swap(&mut self.registers.gs_base, &mut self.state.kernel_gs_base);
        Ok(Done::Next)
    }
}
