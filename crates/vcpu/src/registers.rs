//! The registers of the guest thread that are real: what the kernel saves and restores.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The guest thread's registers, in the order of the kernel's user context.
///
/// They belong to the thread, not to [`VcpuState`](crate::VcpuState): most
/// guest instructions change them without a trap. `rflags` holds the *real*
/// flags, where IF is always set and IOPL always zero; the guest's view is
/// [`VcpuState::guest_rflags`](crate::VcpuState::guest_rflags).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)] // the manual's names say it
pub struct Registers {
    pub rip: u64,
    pub rsp: u64,
    pub rflags: u64,
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

impl Registers {
    /// Words in the user context.
    pub const WORDS: usize = 20;

    /// The registers from the words of the user context.
    pub fn from_words(words: [u64; Self::WORDS]) -> Self {
        zerocopy::transmute!(words)
    }

    /// The words of the user context.
    pub fn to_words(self) -> [u64; Self::WORDS] {
        zerocopy::transmute!(self)
    }

    /// The general register that ModRM and REX encode as `number` (SDM
    /// vol. 2A, table 2-2: 0 is RAX, 4 is RSP). Only the low four bits count.
    pub fn get(&self, number: u8) -> u64 {
        match number & 15 {
            0 => self.rax,
            1 => self.rcx,
            2 => self.rdx,
            3 => self.rbx,
            4 => self.rsp,
            5 => self.rbp,
            6 => self.rsi,
            7 => self.rdi,
            8 => self.r8,
            9 => self.r9,
            10 => self.r10,
            11 => self.r11,
            12 => self.r12,
            13 => self.r13,
            14 => self.r14,
            _ => self.r15,
        }
    }

    /// Sets the whole general register `number`; numbering as [`Self::get`].
    pub fn set(&mut self, number: u8, value: u64) {
        *match number & 15 {
            0 => &mut self.rax,
            1 => &mut self.rcx,
            2 => &mut self.rdx,
            3 => &mut self.rbx,
            4 => &mut self.rsp,
            5 => &mut self.rbp,
            6 => &mut self.rsi,
            7 => &mut self.rdi,
            8 => &mut self.r8,
            9 => &mut self.r9,
            10 => &mut self.r10,
            11 => &mut self.r11,
            12 => &mut self.r12,
            13 => &mut self.r13,
            14 => &mut self.r14,
            _ => &mut self.r15,
        } = value;
    }

    /// Writes the low `bytes` of general register `number` as an instruction
    /// of that operand size does: 1 and 2 keep the rest of the register, 4
    /// clears it (SDM vol. 1, §3.4.1.1).
    pub fn set_sized(&mut self, number: u8, bytes: u8, value: u64) {
        let old = self.get(number);
        let new = match bytes {
            1 => old & !0xff | value & 0xff,
            2 => old & !0xffff | value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        };
        self.set(number, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_names_its_own_register() {
        let mut registers = Registers::default();
        for number in 0..16 {
            registers.set(number, 100 + u64::from(number));
        }
        for number in 0..16 {
            assert_eq!(registers.get(number), 100 + u64::from(number));
        }
        assert_eq!([registers.rax, registers.rsp, registers.r15], [100, 104, 115]);
    }

    #[test]
    fn words_keep_the_kernel_order() {
        let words = core::array::from_fn(|index| index as u64);
        let registers = Registers::from_words(words);
        assert_eq!([registers.rip, registers.rsp, registers.rflags], [0, 1, 2]);
        assert_eq!([registers.rbp, registers.r15], [9, 17]);
        assert_eq!([registers.fs_base, registers.gs_base], [18, 19]);
        assert_eq!(registers.to_words(), words);
    }

    #[test]
    fn partial_writes_follow_the_operand_size() {
        let mut registers = Registers { rax: 0x1122_3344_5566_7788, ..Default::default() };
        registers.set_sized(0, 1, 0xff99);
        assert_eq!(registers.rax, 0x1122_3344_5566_7799);
        registers.set_sized(0, 2, 0x1_aaaa);
        assert_eq!(registers.rax, 0x1122_3344_5566_aaaa);
        registers.set_sized(0, 4, 0xf_bbbb_cccc);
        assert_eq!(registers.rax, 0xbbbb_cccc);
    }

    #[test]
    fn register_sets_reach_their_register() {
        for number in 0..16 {
            let mut registers = Registers::from_words([0; 20]);
            registers.set(number, 1);
            let word = registers.to_words().iter().position(|word| *word == 1).unwrap();
            let words = crate::RegisterSet::Through(number).words();
            assert_eq!(words, (word + 1).max(3), "register {number}");
        }
    }
}
