//! RDMSR and WRMSR: the registers of the CPU here, all others by exit.

use x86::{Cr0, Efer, Gva};

use super::{Cpu, Done, Executed};
use crate::exit::{Exit, PendingExit, PendingKind};
use crate::fault::Fault;
use crate::machine::Machine;

/// MSR numbers (SDM vol. 4, table 2-2).
const PAT: u32 = 0x277;
const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const CSTAR: u32 = 0xc000_0083;
const FMASK: u32 = 0xc000_0084;
const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;

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
            FS_BASE => self.registers.fs_base,
            GS_BASE => self.registers.gs_base,
            KERNEL_GS_BASE => self.state.kernel_gs_base,
            _ => {
                let pending = PendingExit::new(PendingKind::ReadMsr, self.length, 0, 0);
                return Ok(Done::Exit(Exit::ReadMsr { index }, pending));
            }
        };
        self.set_edx_eax(value);
        Ok(Done::Next)
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
            FS_BASE => self.registers.fs_base = canonical(value)?,
            GS_BASE => self.registers.gs_base = canonical(value)?,
            KERNEL_GS_BASE => self.state.kernel_gs_base = canonical(value)?,
            _ => {
                let pending = PendingExit::new(PendingKind::Retire, self.length, 0, 0);
                return Ok(Done::Exit(Exit::WriteMsr { index, value }, pending));
            }
        }
        Ok(Done::Next)
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
    if Gva::new(value).is_canonical() {
        Ok(value)
    } else {
        Err(Fault::GENERAL_PROTECTION)
    }
}

/// Each byte must be a memory type (SDM vol. 3A, §11.12.2).
fn memory_types(value: u64) -> Result<u64, Fault> {
    let valid = value
        .to_le_bytes()
        .iter()
        .all(|byte| matches!(byte, 0 | 1 | 4..=7));
    if valid {
        Ok(value)
    } else {
        Err(Fault::GENERAL_PROTECTION)
    }
}
