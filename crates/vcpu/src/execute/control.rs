//! Control registers and INVLPG.

use x86::{Cr0, Cr4, Gva, PHYSICAL_ADDRESS_BITS};

use super::msr::TASK_PRIORITY;
use super::{Cpu, Done, Executed};
use crate::decode::{Control, Memory, Rm};
use crate::fault::Fault;
use crate::machine::Machine;

/// CR4 bits that a guest may set. VME, PVI and UMIP are not offered, nor
/// what the type does not name.
const CR4_OFFERED: Cr4 = Cr4::TSD
    .union(Cr4::DE)
    .union(Cr4::PSE)
    .union(Cr4::PAE)
    .union(Cr4::MCE)
    .union(Cr4::PGE)
    .union(Cr4::PCE)
    .union(Cr4::OSFXSR)
    .union(Cr4::OSXMMEXCPT);

/// CR4 bits whose change makes cached translations stale.
const CR4_PAGING: Cr4 = Cr4::PSE.union(Cr4::PAE).union(Cr4::PGE);

impl<M: Machine> Cpu<'_, M> {
    pub(super) fn mov_from_control(&mut self, control: Control, register: u8) -> Executed {
        self.require_cpl0()?;
        let value = match control {
            Control::Cr0 => self.state.cr0,
            Control::Cr2 => self.state.cr2,
            Control::Cr3 => self.state.cr3,
            Control::Cr4 => self.state.cr4,
            Control::Cr8 => self.state.cr8 & 0xf,
        };
        self.registers.set(register, value);
        Ok(Done::Next)
    }

    pub(super) fn mov_to_control(&mut self, control: Control, register: u8) -> Executed {
        self.require_cpl0()?;
        let value = self.registers.get(register);
        match control {
            Control::Cr0 => self.load_cr0(value)?,
            Control::Cr2 => self.state.cr2 = value,
            Control::Cr3 => self.load_cr3(value)?,
            Control::Cr4 => self.load_cr4(value)?,
            Control::Cr8 if value > 0xf => return Err(Fault::GENERAL_PROTECTION),
            Control::Cr8 => return Ok(self.load_cr8(value)),
        }
        Ok(Done::Next)
    }

    /// CR8 is the upper half of the APIC's task priority, and clears the lower
    /// (SDM vol. 3A, §10.8.6).
    fn load_cr8(&mut self, value: u64) -> Done {
        self.state.cr8 = value;
        if !self.state.topology.has_x2apic() {
            return Done::Next;
        }
        self.write_msr_by_exit(TASK_PRIORITY, value << 4)
    }

    /// SDM vol. 2B, "MOV to control registers", and vol. 3A, §2.5. In 64-bit
    /// mode PE and PG cannot be cleared (vol. 3A, §9.8.5.4).
    fn load_cr0(&mut self, value: u64) -> Result<(), Fault> {
        let new = Cr0::from_bits_truncate(value) | Cr0::ET;
        let leaves_long_mode = !new.contains(Cr0::PE | Cr0::PG);
        let no_caching_rule = new.contains(Cr0::NW) && !new.contains(Cr0::CD);
        if value >> 32 != 0 || leaves_long_mode || no_caching_rule {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let changed = self.state.cr0() ^ new;
        self.state.cr0 = new.bits();
        if changed.contains(Cr0::WP) {
            self.machine.paging_mode_changed(self.state);
        }
        Ok(())
    }

    /// Bits from the physical address width up are reserved (SDM vol. 3A,
    /// table 4-12; PCIDs are not offered). Others are kept as written.
    fn load_cr3(&mut self, value: u64) -> Result<(), Fault> {
        if value >> PHYSICAL_ADDRESS_BITS != 0 {
            return Err(Fault::GENERAL_PROTECTION);
        }
        self.state.cr3 = value;
        self.machine.cr3_loaded(self.state);
        Ok(())
    }

    /// Reserved bits and clearing PAE in long mode raise #GP (SDM vol. 2B).
    fn load_cr4(&mut self, value: u64) -> Result<(), Fault> {
        let new = Cr4::from_bits_retain(value);
        if !CR4_OFFERED.contains(new) || !new.contains(Cr4::PAE) {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let changed = self.state.cr4() ^ new;
        self.state.cr4 = value;
        if changed.intersects(CR4_PAGING) {
            self.machine.paging_mode_changed(self.state);
        }
        Ok(())
    }

    pub(super) fn clts(&mut self) -> Executed {
        self.require_cpl0()?;
        self.state.cr0 &= !Cr0::TS.bits();
        Ok(Done::Next)
    }

    /// LMSW loads PE, MP, EM and TS, and cannot clear PE (SDM vol. 2A).
    pub(super) fn lmsw(&mut self, source: Rm) -> Executed {
        self.require_cpl0()?;
        let value = u64::from(self.load_word(source)?);
        let loaded = (Cr0::MP | Cr0::EM | Cr0::TS).bits();
        self.state.cr0 = self.state.cr0 & !loaded | value & loaded;
        Ok(Done::Next)
    }

    /// A non-canonical address makes INVLPG a no-op (SDM vol. 2A).
    pub(super) fn invlpg(&mut self, operand: Memory) -> Executed {
        self.require_cpl0()?;
        let gva = Gva::new(self.linear(&operand));
        if gva.is_canonical() {
            self.machine.invalidate(gva);
        }
        Ok(Done::Next)
    }
}
