//! PUSHF and POPF, which do not trap by themselves: they come here where the
//! image was rewritten.

use super::{Cpu, Done, Executed};
use crate::decode::Width;
use crate::machine::Machine;
use crate::memory::{self, Through};

impl<M: Machine> Cpu<'_, M> {
    /// SDM vol. 2B, PUSHF: RF and VM are pushed clear.
    pub(super) fn push_flags(&mut self, width: Width) -> Executed {
        let size = width.bytes();
        let rsp = self.registers.rsp.wrapping_sub(size.into());
        let value = self.state.guest_rflags(self.registers);
        let privilege = self.state.privilege();
        memory::write_sized(self.machine, rsp, size, value, privilege, Through::Stack)?;
        self.registers.rsp = rsp;
        Ok(Done::Next)
    }

    /// SDM vol. 2B, POPF and its table of what may change: IOPL at CPL 0, IF
    /// at CPL <= IOPL. What may not is kept without a fault; RF ends up clear.
    pub(super) fn pop_flags(&mut self, width: Width) -> Executed {
        let size = width.bytes();
        let rsp = self.registers.rsp;
        let privilege = self.state.privilege();
        let value = memory::read_sized(self.machine, rsp, size, privilege, Through::Stack)?;
        let mask = match width {
            Width::Word => self.state.loadable_flags() & 0xffff,
            Width::Double | Width::Quad => self.state.loadable_flags(),
        };
        self.state.load_guest_rflags(self.registers, value, mask);
        self.registers.rsp = rsp.wrapping_add(size.into());
        Ok(Done::Next)
    }
}
