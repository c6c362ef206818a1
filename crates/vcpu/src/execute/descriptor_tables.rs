//! GDTR, IDTR, LDTR and TR.

use x86::Gva;

use super::{Cpu, Done, Executed};
use crate::decode::{Memory, Rm, Table};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::segment::{Segment, Selector, TableRegister};
use crate::{memory, tables};

impl<M: Machine> Cpu<'_, M> {
    /// LGDT and LIDT: a 16-bit limit and a 64-bit base, whatever the operand
    /// size. A non-canonical base raises #GP(0) (SDM vol. 2A).
    pub(super) fn load_table(&mut self, table: Table, operand: Memory) -> Executed {
        self.require_cpl0()?;
        let gva = self.linear(&operand);
        let privilege = self.state.privilege();
        let bytes: [u8; 10] = memory::read(self.machine, gva, privilege, operand.through())?;
        let [l0, l1, base @ ..] = bytes;
        let base = u64::from_le_bytes(base);
        if !Gva::new(base).is_canonical() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let register = TableRegister::new(base, u16::from_le_bytes([l0, l1]));
        match table {
            Table::Gdt => self.state.gdtr = register,
            Table::Idt => self.state.idtr = register,
        }
        Ok(Done::Next)
    }

    /// SGDT and SIDT. They trap only where the processor has UMIP; the
    /// guest's own UMIP is not offered, so they work at every CPL.
    pub(super) fn store_table(&mut self, table: Table, operand: Memory) -> Executed {
        let register = match table {
            Table::Gdt => self.state.gdtr,
            Table::Idt => self.state.idtr,
        };
        let mut bytes = [0; 10];
        let (limit, base) = bytes.split_at_mut(2);
        limit.copy_from_slice(&register.limit.to_le_bytes());
        base.copy_from_slice(&register.base.to_le_bytes());
        let gva = self.linear(&operand);
        let privilege = self.state.privilege();
        memory::write(self.machine, gva, &bytes, privilege, operand.through())?;
        Ok(Done::Next)
    }

    /// LLDT (SDM vol. 2A): a null selector leaves the CPU without an LDT.
    pub(super) fn lldt(&mut self, source: Rm) -> Executed {
        self.require_cpl0()?;
        let selector = Selector(self.load_word(source)?);
        self.state.ldtr = if selector.is_null() {
            Segment::null(selector.0)
        } else {
            self.system_segment(selector, Segment::LDT)?
        };
        Ok(Done::Next)
    }

    /// LTR (SDM vol. 2A): the descriptor must be an available TSS and
    /// becomes busy in memory.
    pub(super) fn ltr(&mut self, source: Rm) -> Executed {
        self.require_cpl0()?;
        let selector = Selector(self.load_word(source)?);
        if selector.is_null() {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let mut segment = self.system_segment(selector, Segment::TSS_AVAILABLE)?;
        tables::mark(self.state, &mut segment, Segment::TSS_BUSY, self.machine)?;
        self.state.tr = segment;
        Ok(Done::Next)
    }

    fn system_segment(&mut self, selector: Selector, kind: u16) -> Result<Segment, Fault> {
        if selector.in_ldt() {
            return Err(Fault::protection(selector));
        }
        let segment = tables::system_descriptor(self.state, selector, self.machine)?;
        if segment.system_type() != Some(kind) {
            return Err(Fault::protection(selector));
        }
        if !segment.is_present() {
            return Err(Fault::not_present(selector));
        }
        if !Gva::new(segment.base).is_canonical() {
            return Err(Fault::protection(selector));
        }
        Ok(segment)
    }
}
