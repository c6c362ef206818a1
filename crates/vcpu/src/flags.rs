//! RFLAGS, split between the real register and the virtual bits.
//!
//! The guest thread runs with IF=1 and IOPL=0, whatever the guest thinks. All
//! other flags live in the real register, since unprivileged instructions
//! change them without a trap. RF lasts for one instruction and is kept as an
//! interrupt shadow is ([`VcpuState::RESUME`]); VM is never kept, since there
//! is no virtual-8086 mode.

use x86::Rflags;

use crate::{Registers, VcpuState};

/// Bits that live in [`VcpuState::rflags`].
const VIRTUAL: Rflags = Rflags::IF.union(Rflags::IOPL);

/// Bits that live in the real register.
const REAL: Rflags = Rflags::CF
    .union(Rflags::PF)
    .union(Rflags::AF)
    .union(Rflags::ZF)
    .union(Rflags::SF)
    .union(Rflags::TF)
    .union(Rflags::DF)
    .union(Rflags::OF)
    .union(Rflags::NT)
    .union(Rflags::AC)
    .union(Rflags::ID);

impl VcpuState {
    /// RFLAGS as the guest must see it, in a frame or after PUSHF. RF is clear.
    pub const fn guest_rflags(&self, registers: &Registers) -> u64 {
        registers.rflags & REAL.bits() | self.rflags & VIRTUAL.bits() | Rflags::FIXED.bits()
    }

    /// Gives RFLAGS the value `value`, splitting it. Undefined bits, RF and
    /// VM are dropped; the real IF stays set.
    pub(crate) fn set_guest_rflags(&mut self, registers: &mut Registers, value: u64) {
        self.rflags = value & VIRTUAL.bits();
        registers.rflags = value & REAL.bits() | (Rflags::FIXED | Rflags::IF).bits();
    }

    /// Loads the bits of `mask` from `value` and keeps the others.
    pub(crate) fn load_guest_rflags(&mut self, registers: &mut Registers, value: u64, mask: u64) {
        let old = self.guest_rflags(registers);
        self.set_guest_rflags(registers, old & !mask | value & mask);
    }

    /// The flags that IRET and POPF with 64-bit operands may change at this
    /// CPL and IOPL (SDM vol. 2, POPF, table 4-21).
    pub(crate) const fn loadable_flags(&self) -> u64 {
        let mut mask = REAL;
        if self.cpl() == 0 {
            mask = mask.union(Rflags::IOPL);
        }
        if self.cpl() <= self.iopl() {
            mask = mask.union(Rflags::IF);
        }
        mask.bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> VcpuState {
        VcpuState::long_mode(0, 8, 16)
    }

    #[test]
    fn real_if_is_hidden_and_kept() {
        let mut state = state();
        let mut registers = Registers { rflags: 0x246, ..Default::default() };
        assert_eq!(state.guest_rflags(&registers), 0x46);
        state.set_guest_rflags(&mut registers, 0x3202);
        assert_eq!(registers.rflags, 0x202);
        assert_eq!(state.guest_rflags(&registers), 0x3202);
        state.set_guest_rflags(&mut registers, 0);
        assert_eq!(registers.rflags, 0x202);
        assert_eq!(state.guest_rflags(&registers), 2);
    }

    #[test]
    fn undefined_bits_are_dropped() {
        let mut state = state();
        let mut registers = Registers::default();
        state.set_guest_rflags(&mut registers, u64::MAX);
        assert_eq!(state.guest_rflags(&registers), 0x24_7fd7);
        assert_eq!(registers.rflags, 0x24_4fd7);
    }

    /// SDM vol. 2, POPF: IOPL needs CPL 0, IF needs CPL <= IOPL.
    #[test]
    fn loadable_bits_follow_privilege() {
        let mut state = state();
        assert_eq!(state.loadable_flags() & 0x3200, 0x3200);
        state.cpl = 3;
        assert_eq!(state.loadable_flags() & 0x3200, 0);
        state.rflags = 0x3000;
        assert_eq!(state.loadable_flags() & 0x3200, 0x200);
    }
}
