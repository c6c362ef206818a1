//! RDMSR and WRMSR: the registers of the CPU here, those of time and of the
//! interrupt controller by exit; no others exist.

use x86::{Cr0, Efer, Gva};

use super::{Cpu, Done, Executed};
use crate::Registers;
use crate::exit::{Exit, PendingExit, PendingKind};
use crate::fault::Fault;
use crate::machine::{Machine, RegisterSet};

/// MSR numbers (SDM vol. 4, table 2-2).
pub(super) const TSC: u32 = 0x10;
const APIC_BASE: u32 = 0x1b;
const TSC_DEADLINE: u32 = 0x6e0;
const X2APIC: core::ops::RangeInclusive<u32> = 0x800..=0x8ff;
/// The x2APIC's task priority, of which CR8 is a part.
pub(super) const TASK_PRIORITY: u32 = 0x808;
const MTRR_CAPABILITY: u32 = 0xfe;
const MTRR_DEFAULT_TYPE: u32 = 0x2ff;
const MACHINE_CHECK_CAPABILITY: u32 = 0x179;
const MACHINE_CHECK_STATUS: u32 = 0x17a;
const PAT: u32 = 0x277;
const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const CSTAR: u32 = 0xc000_0083;
const FMASK: u32 = 0xc000_0084;
const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// MTRRs are enabled and make all memory write-back. There are none for
/// ranges (SDM vol. 3A, §11.11.1 and §11.11.2.1).
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;

/// The registers that cannot change.
const fn fixed(index: u32) -> Option<u64> {
    match index {
        MTRR_DEFAULT_TYPE => Some(MTRR_WRITE_BACK),
        // No ranges; no banks of machine-check registers (SDM vol. 3B, §15.3.1).
        MTRR_CAPABILITY | MACHINE_CHECK_CAPABILITY | MACHINE_CHECK_STATUS => Some(0),
        _ => None,
    }
}

/// The registers that the platform has.
fn is_platforms(index: u32) -> bool {
    matches!(index, TSC | APIC_BASE | TSC_DEADLINE) || X2APIC.contains(&index)
}

impl<M: Machine> Cpu<'_, M> {
    pub(super) fn rdmsr(&mut self) -> Executed {
        self.require_cpl0()?;
        let index = self.registers.rcx as u32;
        let value = match index {
            PAT => self.state.pat,
            EFER => self.state.efer,
            STAR => self.state.star,
            LSTAR => self.state.lstar,
            CSTAR => self.state.cstar,
            FMASK => self.state.fmask,
            FS_BASE => self.bases().fs_base,
            GS_BASE => self.bases().gs_base,
            KERNEL_GS_BASE => self.state.kernel_gs_base,
            _ if is_platforms(index) => return Ok(self.read_msr_by_exit(index)),
            _ => fixed(index).ok_or(Fault::GENERAL_PROTECTION)?,
        };
        self.set_edx_eax(value);
        Ok(Done::Next)
    }

    /// The registers with the bases of FS and GS, which come last and are
    /// fetched only here.
    fn bases(&mut self) -> &mut Registers {
        self.machine.load_registers(self.registers, RegisterSet::All);
        self.registers
    }

    pub(super) fn read_msr_by_exit(&self, index: u32) -> Done {
        let pending = PendingExit::new(PendingKind::ReadMsr, self.length, 0, 0);
        Done::Exit(Exit::ReadMsr { index }, pending)
    }

    pub(super) fn wrmsr(&mut self) -> Executed {
        self.require_cpl0()?;
        let index = self.registers.rcx as u32;
        let value = self.registers.rdx << 32 | self.registers.rax & 0xffff_ffff;
        match index {
            PAT => self.state.pat = memory_types(value)?,
            EFER => self.load_efer(value)?,
            STAR => self.state.star = value,
            LSTAR => self.state.lstar = canonical(value)?,
            CSTAR => self.state.cstar = canonical(value)?,
            FMASK => self.state.fmask = value & 0xffff_ffff,
            FS_BASE => self.bases().fs_base = canonical(value)?,
            GS_BASE => self.bases().gs_base = canonical(value)?,
            KERNEL_GS_BASE => self.state.kernel_gs_base = canonical(value)?,
            _ if is_platforms(index) => {
                // The platform refuses larger ones.
                if index == TASK_PRIORITY && self.state.topology.has_x2apic() && value <= 0xff {
                    self.state.cr8 = value >> 4;
                }
                return Ok(self.write_msr_by_exit(index, value));
            }
            // Writing what is there changes nothing.
            _ if fixed(index) == Some(value) => {}
            _ => return Err(Fault::GENERAL_PROTECTION),
        }
        Ok(Done::Next)
    }

    pub(super) fn write_msr_by_exit(&self, index: u32, value: u64) -> Done {
        let pending = PendingExit::new(PendingKind::Retire, self.length, 0, 0);
        Done::Exit(Exit::WriteMsr { index, value }, pending)
    }

    /// Reserved bits raise #GP, and so do NXE, which is not offered, and a
    /// change of LME while paging is on (SDM vol. 3A, §2.2.1 and §9.8.5). LMA
    /// is read-only.
    fn load_efer(&mut self, value: u64) -> Result<(), Fault> {
        let new = Efer::from_bits_retain(value);
        let settable = Efer::SCE | Efer::LME | Efer::LMA;
        let old = self.state.efer();
        let paging = self.state.cr0().contains(Cr0::PG);
        if !settable.contains(new) || paging && (new ^ old).contains(Efer::LME) {
            return Err(Fault::GENERAL_PROTECTION);
        }
        self.state.efer = ((new - Efer::LMA) | old & Efer::LMA).bits();
        Ok(())
    }

    /// A 64-bit result as RDMSR gives it.
    pub(super) const fn set_edx_eax(&mut self, value: u64) {
        self.registers.rax = value & 0xffff_ffff;
        self.registers.rdx = value >> 32;
    }
}

/// Addresses in MSRs must be canonical (SDM vol. 2B, WRMSR).
fn canonical(value: u64) -> Result<u64, Fault> {
    if Gva::new(value).is_canonical() { Ok(value) } else { Err(Fault::GENERAL_PROTECTION) }
}

/// Each byte must be a memory type (SDM vol. 3A, §11.12.2).
fn memory_types(value: u64) -> Result<u64, Fault> {
    let valid = value.to_le_bytes().iter().all(|byte| matches!(byte, 0 | 1 | 4..=7));
    if valid { Ok(value) } else { Err(Fault::GENERAL_PROTECTION) }
}
