//! LAR, LSL, VERR and VERW: questions about descriptors, answered in ZF.
//!
//! They do not trap by themselves: they come here where the image was
//! rewritten. At CPL 3 hardware would answer from seL4's descriptor table.

use x86::Rflags;

use super::{Cpu, Done, Executed};
use crate::decode::{Rm, Width};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::segment::{Descriptor, Segment, Selector};
use crate::tables;

/// System types that LAR knows beside LDT and TSS: a call gate.
const CALL_GATE: u16 = 0xc;
/// The part of a descriptor's second half that LAR shows.
const ACCESS_RIGHTS: u64 = 0x00f0_ff00;

impl<M: Machine> Cpu<'_, M> {
    /// SDM vol. 2A, LAR.
    pub(super) fn load_access_rights(
        &mut self,
        register: u8,
        width: Width,
        source: Rm,
    ) -> Executed {
        let known = [Segment::LDT, Segment::TSS_AVAILABLE, Segment::TSS_BUSY, CALL_GATE];
        let found = self.inspect(source, &known)?;
        let value = found.map(|(descriptor, _)| descriptor.0 >> 32 & ACCESS_RIGHTS);
        self.answer(register, width, value)
    }

    /// SDM vol. 2A, LSL: the limit in bytes. Gates have none.
    pub(super) fn load_segment_limit(
        &mut self,
        register: u8,
        width: Width,
        source: Rm,
    ) -> Executed {
        let known = [Segment::LDT, Segment::TSS_AVAILABLE, Segment::TSS_BUSY];
        let found = self.inspect(source, &known)?;
        let value = found.map(|(_, segment)| segment.limit.into());
        self.answer(register, width, value)
    }

    /// SDM vol. 2B, VERR and VERW.
    pub(super) fn verify(&mut self, source: Rm, write: bool) -> Executed {
        let found = self.inspect(source, &[])?;
        let allowed = found.is_some_and(|(_, segment)| {
            if write { segment.is_writable_data() } else { segment.is_readable() }
        });
        self.set_zero_flag(allowed);
        Ok(Done::Next)
    }

    /// The descriptor that `source` names, if there is one, if it is code, data
    /// or one of `known`, and if this CPL and the selector's RPL may use it.
    /// Only reading memory can fault.
    fn inspect(
        &mut self,
        source: Rm,
        known: &[u16],
    ) -> Result<Option<(Descriptor, Segment)>, Fault> {
        let selector = Selector(self.load_word(source)?);
        if selector.is_null() {
            return Ok(None);
        }
        let descriptor = match tables::descriptor(self.state, selector, self.machine) {
            Ok(descriptor) => descriptor,
            Err(fault @ Fault::Page(_)) => return Err(fault),
            // Beyond the limit, or without an LDT.
            Err(Fault::Exception(..)) => return Ok(None),
        };
        let segment = descriptor.segment(selector);
        let known = segment.system_type().is_none_or(|kind| known.contains(&kind));
        let dpl = segment.dpl();
        let privileged =
            segment.is_conforming_code() || self.state.cpl() <= dpl && selector.rpl() <= dpl;
        Ok((known && privileged).then_some((descriptor, segment)))
    }

    /// `value` into the register and ZF set, or ZF clear.
    fn answer(&mut self, register: u8, width: Width, value: Option<u64>) -> Executed {
        if let Some(value) = value {
            self.registers.set_sized(register, width.bytes(), value);
        }
        self.set_zero_flag(value.is_some());
        Ok(Done::Next)
    }

    fn set_zero_flag(&mut self, set: bool) {
        let flag = Rflags::ZF.bits();
        if set {
            self.registers.rflags |= flag;
        } else {
            self.registers.rflags &= !flag;
        }
    }
}
