//! Far transfers: IRET, RETF, far JMP and CALL.
//!
//! Only 64-bit code segments are targets; what would enter compatibility mode
//! or pass a call gate raises #GP with the selector.

use x86::{Gva, Rflags};
use zerocopy::IntoBytes;

use super::{Cpu, Done, Executed};
use crate::decode::{Memory, Width};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::memory::{self, Through};
use crate::segment::{Segment, SegmentName, Selector};
use crate::{VcpuState, tables};

/// Where a return goes, fully checked.
struct Return {
    rip: u64,
    code: Segment,
    /// RSP and SS, unless they stay.
    stack: Option<(u64, Segment)>,
}

impl<M: Machine> Cpu<'_, M> {
    /// SDM vol. 2A, IRET. In 64-bit mode RSP and SS are popped always.
    pub(super) fn iret(&mut self, width: Width) -> Executed {
        if self.registers.rflags & Rflags::NT.bits() != 0 {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let [rip, cs, rflags, rsp, ss] = self.pop_words(width, self.registers.rsp)?;
        let code = self.return_code_segment(Selector(cs as u16))?;
        let stack = self.stack_segment(Selector(ss as u16), code.selector().rpl())?;
        let mut mask = self.state.loadable_flags();
        if width == Width::Word {
            mask &= 0xffff;
        }
        self.enter_return(Return { rip, code, stack: Some((rsp, stack)) })?;
        self.state.load_guest_rflags(self.registers, rflags, mask);
        if rflags & Rflags::RF.bits() != 0 && width != Width::Word {
            self.state.set_shadow(VcpuState::RESUME, self.registers.rip);
        }
        Ok(Done::Jumped)
    }

    /// SDM vol. 2B, RET, 64-bit mode.
    pub(super) fn far_return(&mut self, width: Width, release: u16) -> Executed {
        let rsp = self.registers.rsp;
        let [rip, cs] = self.pop_words(width, rsp)?;
        let code = self.return_code_segment(Selector(cs as u16))?;
        let after = rsp.wrapping_add(2 * u64::from(width.bytes())).wrapping_add(release.into());
        let cpl = code.selector().rpl();
        if cpl == self.state.cpl() {
            self.enter_return(Return { rip, code, stack: None })?;
            self.registers.rsp = after;
        } else {
            let [rsp, ss] = self.pop_words(width, after)?;
            let stack = self.stack_segment(Selector(ss as u16), cpl)?;
            let rsp = rsp.wrapping_add(release.into());
            self.enter_return(Return { rip, code, stack: Some((rsp, stack)) })?;
        }
        Ok(Done::Jumped)
    }

    pub(super) fn far_jump(&mut self, width: Width, operand: Memory) -> Executed {
        let (rip, selector) = self.read_far_pointer(width, operand)?;
        let code = self.target_code_segment(selector)?;
        self.enter_code(rip, code)?;
        Ok(Done::Jumped)
    }

    pub(super) fn far_call(&mut self, width: Width, operand: Memory) -> Executed {
        let (rip, selector) = self.read_far_pointer(width, operand)?;
        let code = self.target_code_segment(selector)?;
        if !Gva::new(rip).is_canonical() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let size = width.bytes();
        let mut bytes = [0; 16];
        let (low, high) = bytes.split_at_mut(size.into());
        copy_low(low, self.next_rip());
        copy_low(high, self.state.cs.selector.into());
        let pushed = bytes.get(..2 * usize::from(size)).unwrap_or_default();
        let rsp = self.registers.rsp.wrapping_sub(pushed.len() as u64);
        let privilege = self.state.privilege();
        memory::write(self.machine, rsp, pushed, privilege, Through::Stack)?;
        self.enter_code(rip, code)?;
        self.registers.rsp = rsp;
        Ok(Done::Jumped)
    }

    /// Reads `N` stack words of `width` from `rsp` up, zero-extended.
    fn pop_words<const N: usize>(&mut self, width: Width, rsp: u64) -> Result<[u64; N], Fault> {
        let size = usize::from(width.bytes());
        let privilege = self.state.privilege();
        let mut words = [0; N];
        if width == Width::Quad {
            let bytes = words.as_mut_bytes();
            memory::read_into(self.machine, rsp, bytes, privilege, Through::Stack)?;
            return Ok(words.map(u64::from_le));
        }
        let mut bytes = [0; 20];
        let used = bytes.get_mut(..N * size).unwrap_or_default();
        memory::read_into(self.machine, rsp, used, privilege, Through::Stack)?;
        for (word, part) in words.iter_mut().zip(bytes.chunks_exact(size)) {
            *word = part.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Ok(words)
    }

    /// The code segment that a return names: its RPL becomes the CPL.
    fn return_code_segment(&mut self, selector: Selector) -> Result<Segment, Fault> {
        if selector.is_null() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let segment = tables::descriptor(self.state, selector, self.machine)?.segment(selector);
        let rpl = selector.rpl();
        let dpl_fits =
            if segment.is_conforming_code() { segment.dpl() <= rpl } else { segment.dpl() == rpl };
        if !segment.is_code() || rpl < self.state.cpl() || !dpl_fits {
            return Err(Fault::protection(selector));
        }
        self.usable_code(segment, selector)
    }

    /// The code segment of a far JMP or CALL, at the same CPL.
    fn target_code_segment(&mut self, selector: Selector) -> Result<Segment, Fault> {
        if selector.is_null() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let segment = tables::descriptor(self.state, selector, self.machine)?.segment(selector);
        let cpl = self.state.cpl();
        let fits = if segment.is_conforming_code() {
            segment.dpl() <= cpl
        } else {
            selector.rpl() <= cpl && segment.dpl() == cpl
        };
        if !segment.is_code() || !fits {
            return Err(Fault::protection(selector));
        }
        let mut segment = self.usable_code(segment, selector)?;
        segment.selector = selector.with_rpl(cpl).0;
        Ok(segment)
    }

    /// Present, 64-bit, and marked accessed.
    fn usable_code(&mut self, mut segment: Segment, selector: Selector) -> Result<Segment, Fault> {
        if !segment.is_present() {
            return Err(Fault::not_present(selector));
        }
        if !segment.is_long_code() {
            return Err(Fault::protection(selector));
        }
        tables::mark(self.state, &mut segment, Segment::ACCESSED, self.machine)?;
        Ok(segment)
    }

    fn enter_return(&mut self, target: Return) -> Result<(), Fault> {
        let cpl = target.code.selector().rpl();
        let outward = cpl > self.state.cpl();
        self.enter_code(target.rip, target.code)?;
        self.state.cpl = cpl.into();
        if let Some((rsp, stack)) = target.stack {
            self.registers.rsp = rsp;
            self.state.ss = stack;
        }
        if outward {
            self.drop_privileged_segments();
        }
        Ok(())
    }

    fn enter_code(&mut self, rip: u64, code: Segment) -> Result<(), Fault> {
        if !Gva::new(rip).is_canonical() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        self.state.cs = code;
        self.registers.rip = rip;
        Ok(())
    }

    /// After a return to an outer level, data segments that it may not use
    /// become null (SDM vol. 2B, RET). The bases of FS and GS stay.
    fn drop_privileged_segments(&mut self) {
        let cpl = self.state.cpl();
        for name in [SegmentName::Es, SegmentName::Ds, SegmentName::Fs, SegmentName::Gs] {
            let segment = self.state.segment_mut(name);
            let held = !segment.selector().is_null();
            if held && !segment.is_conforming_code() && segment.dpl() < cpl {
                *segment = Segment::null(0);
            }
        }
    }
}

/// Copies the low bytes of `value` into all of `target`, at most eight.
fn copy_low(target: &mut [u8], value: u64) {
    for (byte, source) in target.iter_mut().zip(value.to_le_bytes()) {
        *byte = source;
    }
}
