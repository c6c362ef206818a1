//! Debug registers. They hold values; breakpoints never fire.

use x86::{Cr4, Vector};

use super::{Cpu, Done, Executed};
use crate::fault::Fault;
use crate::machine::Machine;

/// DR6: bits that read as one (SDM vol. 3B, figure 17-1).
const DR6_ONES: u64 = 0xffff_0ff0;
/// DR6: B0-B3, BD, BS, BT.
const DR6_WRITABLE: u64 = 0xe00f;
/// DR6.BD: a debug register was accessed while DR7.GD was set.
const DR6_BD: u64 = 1 << 13;
/// DR7: bit that reads as one.
const DR7_ONES: u64 = 0x400;
/// DR7: all but bits 10, 11 (RTM), 12, 14 and 15.
const DR7_WRITABLE: u64 = 0xffff_23ff;
/// DR7.GD: accesses to debug registers raise #DB.
pub(crate) const DR7_GD: u64 = 1 << 13;

impl<M: Machine> Cpu<'_, M> {
    pub(super) fn mov_from_debug(&mut self, debug: u8, register: u8) -> Executed {
        let index = self.debug_register(debug)?;
        let value = self.state.dr.get(index).copied().unwrap_or(0);
        self.registers.set(register, value);
        Ok(Done::Next)
    }

    pub(super) fn mov_to_debug(&mut self, debug: u8, register: u8) -> Executed {
        let index = self.debug_register(debug)?;
        let value = self.registers.get(register);
        // The upper half of DR6 and DR7 is reserved (SDM vol. 3B, §17.2.6).
        if index >= 6 && value >> 32 != 0 {
            return Err(Fault::GENERAL_PROTECTION);
        }
        let stored = match index {
            6 => value & DR6_WRITABLE | DR6_ONES,
            7 => value & DR7_WRITABLE | DR7_ONES,
            _ => value,
        };
        if let Some(slot) = self.state.dr.get_mut(index) {
            *slot = stored;
        }
        Ok(Done::Next)
    }

    /// Index of the register that number `debug` means now: 4 and 5 are 6
    /// and 7, unless CR4.DE forbids them (SDM vol. 3B, §17.2.2).
    fn debug_register(&mut self, debug: u8) -> Result<usize, Fault> {
        let alias = matches!(debug, 4 | 5);
        if alias && self.state.cr4().contains(Cr4::DE) {
            return Err(Fault::INVALID_OPCODE);
        }
        self.require_cpl0()?;
        if self.state.dr[7] & DR7_GD != 0 {
            self.state.dr[6] |= DR6_BD;
            return Err(Fault::Exception(Vector::Debug, 0));
        }
        Ok(usize::from(if alias { debug + 2 } else { debug & 7 }))
    }
}
