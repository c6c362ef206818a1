//! Loads of data and stack segment registers.

use super::{Cpu, Done, Executed};
use crate::decode::{Memory, Rm, Width};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::memory::{self, Through};
use crate::segment::{Segment, SegmentName, Selector};
use crate::{VcpuState, tables};

impl<M: Machine> Cpu<'_, M> {
    pub(super) fn mov_to_segment(&mut self, name: SegmentName, source: Rm) -> Executed {
        let selector = Selector(self.load_word(source)?);
        self.load_segment(name, selector)?;
        if name == SegmentName::Ss {
            self.state.set_shadow(VcpuState::SHADOW_MOV_SS, self.next_rip());
        }
        Ok(Done::Next)
    }

    /// SDM vol. 2B, PUSH: the selector, zero-extended to the operand size.
    pub(super) fn push_segment(&mut self, name: SegmentName, width: Width) -> Executed {
        let size = width.bytes();
        let rsp = self.registers.rsp.wrapping_sub(size.into());
        let value = self.state.segment(name).selector.into();
        let privilege = self.state.privilege();
        memory::write_sized(self.machine, rsp, size, value, privilege, Through::Stack)?;
        self.registers.rsp = rsp;
        Ok(Done::Next)
    }

    pub(super) fn pop_segment(&mut self, name: SegmentName, width: Width) -> Executed {
        let rsp = self.registers.rsp;
        let privilege = self.state.privilege();
        let size = width.bytes();
        let value = memory::read_sized(self.machine, rsp, size, privilege, Through::Stack)?;
        self.load_segment(name, Selector(value as u16))?;
        self.registers.rsp = rsp.wrapping_add(size.into());
        Ok(Done::Next)
    }

    pub(super) fn load_far_pointer(
        &mut self,
        name: SegmentName,
        register: u8,
        width: Width,
        operand: Memory,
    ) -> Executed {
        let (offset, selector) = self.read_far_pointer(width, operand)?;
        self.load_segment(name, selector)?;
        self.registers.set_sized(register, width.bytes(), offset);
        Ok(Done::Next)
    }

    /// The offset and selector of an m16:16, m16:32 or m16:64 operand.
    pub(super) fn read_far_pointer(
        &mut self,
        width: Width,
        operand: Memory,
    ) -> Result<(u64, Selector), Fault> {
        let gva = self.linear(&operand);
        let privilege = self.state.privilege();
        let size = usize::from(width.bytes());
        let mut bytes = [0; 10];
        let used = bytes.get_mut(..size + 2).unwrap_or_default();
        memory::read_into(self.machine, gva, used, privilege, operand.through())?;
        let whole = bytes.iter().rev().fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
        let offset = whole & ((1 << (8 * size)) - 1);
        Ok((offset as u64, Selector((whole >> (8 * size)) as u16)))
    }

    /// Loads `name` (not CS) with `selector` as MOV does (SDM vol. 2B, MOV).
    fn load_segment(&mut self, name: SegmentName, selector: Selector) -> Result<(), Fault> {
        let segment = match (name, selector.is_null()) {
            (SegmentName::Ss, _) => self.stack_segment(selector, self.state.cpl())?,
            (_, true) => Segment::null(selector.0),
            (_, false) => self.data_segment(selector)?,
        };
        match name {
            SegmentName::Fs => self.registers.fs_base = segment.base,
            SegmentName::Gs => self.registers.gs_base = segment.base,
            _ => {}
        }
        *self.state.segment_mut(name) = segment;
        Ok(())
    }

    fn data_segment(&mut self, selector: Selector) -> Result<Segment, Fault> {
        let mut segment = tables::descriptor(self.state, selector, self.machine)?.segment(selector);
        let privileged = !segment.is_conforming_code()
            && (selector.rpl() > segment.dpl() || self.state.cpl() > segment.dpl());
        if !segment.is_readable() || privileged {
            return Err(Fault::protection(selector));
        }
        if !segment.is_present() {
            return Err(Fault::not_present(selector));
        }
        tables::mark(self.state, &mut segment, Segment::ACCESSED, self.machine)?;
        Ok(segment)
    }

    /// A segment for SS at privilege level `cpl`. In 64-bit mode a null
    /// selector is fine below CPL 3 if its RPL is the CPL.
    pub(super) fn stack_segment(&mut self, selector: Selector, cpl: u8) -> Result<Segment, Fault> {
        if selector.is_null() {
            return if cpl < 3 && selector.rpl() == cpl {
                Ok(Segment::null(selector.0))
            } else {
                Err(Fault::GENERAL_PROTECTION)
            };
        }
        let mut segment = tables::descriptor(self.state, selector, self.machine)?.segment(selector);
        if selector.rpl() != cpl || segment.dpl() != cpl || !segment.is_writable_data() {
            return Err(Fault::protection(selector));
        }
        if !segment.is_present() {
            return Err(Fault::stack(selector));
        }
        tables::mark(self.state, &mut segment, Segment::ACCESSED, self.machine)?;
        Ok(segment)
    }
}
