//! Random sequences of instructions.
//!
//! Left out is what no processor model or no caveat lets be equal: what does
//! not trap at CPL 3 and shows real state, since this code is made while the
//! guest runs and is not rewritten (`pushf`, `popf`, `cpuid`, reading
//! selectors, `sgdt` and its like, null selectors in FS and GS); `hlt`, since
//! no interrupt comes; and what QEMU does not check as the manuals say
//! (reserved bits of CR0 and CR4, reserved values and numbers of MSRs, `rdpmc`,
//! LOCK before privileged instructions, IRET to a stack that is not present; RF);
//! and 32-bit code, which guests do not have.
//!
//! RDI is the address of the data page and changes by string instructions
//! only; RSP stays in the upper half of that page.

use guest_runtime::Random;

use crate::layout::{
    ABSENT_DATA, CODE32, CONFORMING, KERNEL_CODE, KERNEL_DATA, LDT_SELECTOR, OUTSIDE, READ_ONLY,
    TASK, USER_CODE, USER_DATA,
};

/// Most bytes of a sequence.
pub const CAPACITY: usize = 1024;
/// Most instructions.
pub const INSTRUCTIONS: usize = 128;

/// Numbers of the registers that instructions may change: all but RSP, RSI,
/// RDI and R12 to R15.
const CHANGEABLE: [u8; 9] = [0, 1, 2, 3, 5, 8, 9, 10, 11];
const RAX: u8 = 0;
const RCX: u8 = 1;
const RDX: u8 = 2;
const R11: u8 = 11;

/// Values that flags, sizes and checks turn on.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Selectors for loads and far transfers. Those that are valid for seL4's user
/// threads (0x28 to 0x43) are not among them: they do not trap.
const SELECTORS: [u16; 13] = [
    KERNEL_CODE,
    KERNEL_DATA,
    USER_DATA,
    USER_DATA & !3,
    USER_CODE,
    CODE32,
    ABSENT_DATA,
    CONFORMING,
    CONFORMING | 3,
    READ_ONLY | 3,
    KERNEL_DATA | 3,
    OUTSIDE,
    LDT_SELECTOR,
];

/// 32-bit code where it is an error: guests have no 32-bit mode.
const FAR_SELECTORS: [u16; 13] = {
    let mut selectors = SELECTORS;
    selectors[5] = CODE32 | 3;
    selectors
};

/// Bits of CR0 beside PE, ET and PG: MP, TS, NE, WP, CD.
const CR0_BITS: u64 = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 16 | 1 << 30;
/// Bits of CR4 beside PAE: DE, PSE, MCE, PGE, OSFXSR, OSXMMEXCPT.
const CR4_BITS: u64 = 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10;
/// Flags that frames bring: the arithmetic ones, TF, IF, DF, OF, IOPL, NT, AC, ID.
const FLAGS: u64 = 0x24_7fd5;

/// Bits of DR6 that are ones, and the one that says "single step".
const DR6_FIXED: u64 = 0xffff_0ff0;
const DR6_BS: u64 = 1 << 14;

/// MSRs that are read and written, and bits that may be set.
const MSRS: [(u32, u64); 8] = [
    (0xc000_0080, 1),                 // EFER.SCE
    (0xc000_0081, 0x0013_0008 << 32), // STAR
    (0xc000_0083, 0x7fff_ffff_ffff),  // CSTAR
    (0xc000_0084, 0x24_7dd5),         // FMASK
    (0xc000_0100, 0x7fff_ffff_ffff),  // FS base
    (0xc000_0101, 0x7fff_ffff_ffff),  // GS base
    (0xc000_0102, 0x7fff_ffff_ffff),  // KERNEL_GS_BASE
    (0x277, 0x0505_0505_0505_0505),   // PAT, of types 0, 1, 4 and 5
];

/// A sequence of instructions at some address.
pub struct Sequence {
    bytes: [u8; CAPACITY],
    length: usize,
    starts: [u16; INSTRUCTIONS],
    count: usize,
    address: u64,
    /// Whether there may be STI: see [`Sequence::first_dr6`].
    sti: bool,
}

impl Sequence {
    /// Generates about `count` instructions to stand at `address`.
    pub fn generate(random: &mut Random, count: u64, address: u64) -> Self {
        let mut sequence = Self {
            bytes: [0; CAPACITY],
            length: 0,
            starts: [0; INSTRUCTIONS],
            count: 0,
            address,
            sti: random.once_in(2),
        };
        for _ in 0..count {
            sequence.one(random);
        }
        sequence.instruction(&[0x0f, 0x0b]);
        sequence
    }

    /// DR6 to start with. QEMU 7.2 does not trap behind STI when it steps (as is
    /// right behind MOV SS alone, SDM vol. 3A, §6.8.3), and so may set BS later:
    /// where there is STI, it is set always.
    pub const fn first_dr6(&self) -> u64 {
        if self.sti { DR6_FIXED | DR6_BS } else { DR6_FIXED }
    }

    /// Whether STI is before `rip`.
    pub fn enables(&self, rip: u64) -> bool {
        let offset = rip.wrapping_sub(self.address + 1) as usize;
        self.bytes.get(offset) == Some(&0xfb) && self.holds(rip - 1)
    }

    /// The code.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Where it ends: at an instruction that is undefined.
    pub const fn end(&self) -> u64 {
        self.address + self.length as u64 - 2
    }

    /// The instruction behind the one at `rip`; `None` if no instruction of
    /// the sequence is there.
    pub fn behind(&self, rip: u64) -> Option<u64> {
        let starts = &self.starts[..self.count];
        let index = starts.iter().position(|&start| self.address + u64::from(start) == rip)?;
        let next = *starts.get(index + 1)?;
        Some(self.address + u64::from(next))
    }

    /// Whether an instruction of the sequence is at `rip`.
    pub fn holds(&self, rip: u64) -> bool {
        let mut starts = self.starts[..self.count].iter();
        starts.any(|&start| self.address + u64::from(start) == rip)
    }

    /// Whether the instruction before `rip` is INT with this vector.
    pub fn interrupts(&self, rip: u64, vector: u64) -> bool {
        let start = rip.wrapping_sub(2);
        let offset = start.wrapping_sub(self.address) as usize;
        let code = [0xcd, vector as u8];
        self.holds(start) && self.bytes.get(offset..offset + 2) == Some(&code[..])
    }

    /// Whether the instruction at `rip` is SYSCALL.
    pub fn calls(&self, rip: u64) -> bool {
        let offset = rip.wrapping_sub(self.address) as usize;
        let code = self.bytes.get(offset..offset.saturating_add(2));
        matches!(code, Some([0x0f, 0x05])) && self.holds(rip)
    }

    /// Whether the instruction at `rip` is a repeated INS or OUTS.
    pub fn repeats(&self, rip: u64) -> bool {
        let offset = rip.wrapping_sub(self.address) as usize;
        let code = self.bytes.get(offset..offset.saturating_add(2));
        matches!(code, Some([0xf3, 0x6c..=0x6f])) && self.holds(rip)
    }

    fn here(&self) -> u64 {
        self.address + self.length as u64
    }

    fn instruction(&mut self, bytes: &[u8]) {
        if self.count < INSTRUCTIONS && self.length + bytes.len() <= CAPACITY {
            self.starts[self.count] = self.length as u16;
            self.count += 1;
            self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    /// MOV r64, imm64.
    fn load(&mut self, register: u8, value: u64) {
        let mut bytes = [0; 10];
        bytes[0] = 0x48 | register >> 3;
        bytes[1] = 0xb8 | register & 7;
        bytes[2..].copy_from_slice(&value.to_le_bytes());
        self.instruction(&bytes);
    }

    /// PUSH imm32, by way of R11 if it does not fit.
    fn push(&mut self, value: u64) {
        if let Ok(small) = i32::try_from(value) {
            let [a, b, c, d] = small.to_le_bytes();
            self.instruction(&[0x68, a, b, c, d]);
        } else {
            self.load(R11, value);
            self.instruction(&[0x41, 0x53]);
        }
    }

    fn one(&mut self, random: &mut Random) {
        match random.below(28) {
            0..=3 => self.arithmetic(random),
            4..=5 => self.memory(random),
            6 => self.stack(random),
            7 => self.branch(random),
            8 => self.load(changeable(random), edge(random)),
            9..=11 => self.simple(random),
            12..=13 => self.read_control(random),
            14..=15 => self.write_control(random),
            16 => self.debug(random),
            17..=18 => self.msr(random),
            19 => self.tables(random),
            20 => self.segment(random),
            21..=22 => self.interrupt(random),
            23 => self.instruction(&[0x0f, 0x05]),
            24 => self.sysret(random),
            25 => self.iret(random),
            26 => self.far(random),
            _ => self.port(random),
        }
    }

    /// Arithmetic on two registers, or one and an immediate; DIV may fault.
    fn arithmetic(&mut self, random: &mut Random) {
        let (to, from) = (changeable(random), changeable(random));
        let rex = 0x48 | to >> 3 | (from >> 3) << 2;
        let modrm = 0xc0 | (from & 7) << 3 | to & 7;
        match random.below(5) {
            0..=1 => {
                let opcode = [0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85]
                    [random.below(9) as usize];
                self.instruction(&[rex, opcode, modrm]);
            }
            2 => {
                let extension = random.below(8) as u8;
                let immediate = edge(random) as u8;
                self.instruction(&[
                    0x48 | to >> 3,
                    0x83,
                    0xc0 | extension << 3 | to & 7,
                    immediate,
                ]);
            }
            3 => {
                let extension = [0, 1, 4, 5, 7][random.below(5) as usize];
                self.instruction(&[0x48 | to >> 3, 0xd3, 0xc0 | extension << 3 | to & 7]);
            }
            _ => {
                let extension = 2 + random.below(5) as u8;
                self.instruction(&[0x48 | to >> 3, 0xf7, 0xc0 | extension << 3 | to & 7]);
            }
        }
    }

    /// Loads and stores by RDI: the data page, one that is not there, one that
    /// is read-only, one that user code may not touch; or by R12, which is
    /// not canonical.
    fn memory(&mut self, random: &mut Random) {
        let register = changeable(random);
        let opcode = if random.once_in(2) { 0x89 } else { 0x8b };
        let rex = 0x48 | (register >> 3) << 2;
        if random.once_in(12) {
            self.instruction(&[rex | 1, opcode, 0x04 | (register & 7) << 3, 0x24]);
            return;
        }
        let page = random.below(5).saturating_sub(1) as u32;
        let [a, b, c, d] = (page * 0x1000 + 8 * random.below(64) as u32).to_le_bytes();
        self.instruction(&[rex, opcode, 0x87 | (register & 7) << 3, a, b, c, d]);
    }

    fn stack(&mut self, random: &mut Random) {
        let register = changeable(random);
        let opcode = if random.once_in(2) { 0x50 } else { 0x58 };
        self.instruction(&[0x40 | register >> 3, opcode | register & 7]);
    }

    /// A conditional jump over one instruction.
    fn branch(&mut self, random: &mut Random) {
        let register = changeable(random);
        self.instruction(&[0x70 | random.below(16) as u8, 3]);
        self.instruction(&[0x48 | register >> 3, 0xff, 0xc0 | register & 7]);
    }

    /// What has no operands. No memory is cached in a way that INVD could lose.
    fn simple(&mut self, random: &mut Random) {
        const CODES: [&[u8]; 16] = [
            &[0xfa],
            &[0xfb],
            &[0x0f, 0x06],
            &[0x0f, 0x01, 0xf8],
            &[0x0f, 0x09],
            &[0x0f, 0x01, 0x3f],             // invlpg [rdi]
            &[0x0f, 0x01, 0xf9],             // rdtscp
            &[0x0f, 0x01, 0xc8],             // monitor
            &[0x0f, 0x01, 0xd0],             // xgetbv
            &[0xf3, 0x48, 0x0f, 0xae, 0xc0], // rdfsbase rax
            &[0x0f, 0x34],                   // sysenter
            &[0x0f, 0x0b],
            &[0x0f, 0x08],
            &[0x06], // no instruction of 64-bit mode
            &[0xf5],
            &[0xfc],
        ];
        let code = match CODES[random.below(16) as usize] {
            [0xfb] if !self.sti => CODES[0],
            code => code,
        };
        self.instruction(code);
    }

    fn read_control(&mut self, random: &mut Random) {
        let register = changeable(random);
        let control = [0, 2, 3, 4, 8][random.below(5) as usize];
        self.control(0x20, control, register);
    }

    fn control(&mut self, opcode: u8, control: u8, register: u8) {
        let rex = 0x40 | register >> 3 | (control >> 3) << 2;
        let modrm = 0xc0 | (control & 7) << 3 | register & 7;
        self.instruction(&[rex, 0x0f, opcode, modrm]);
    }

    fn write_control(&mut self, random: &mut Random) {
        let register = changeable(random);
        match random.below(6) {
            0 => {
                self.load(register, 0x8000_0011 | random.word() & CR0_BITS);
                self.control(0x22, 0, register);
            }
            1 => {
                self.load(register, edge(random));
                self.control(0x22, 2, register);
            }
            2 => {
                self.control(0x20, 3, register);
                self.control(0x22, 3, register);
            }
            3 => {
                self.load(register, 0x20 | random.word() & CR4_BITS);
                self.control(0x22, 4, register);
            }
            4 => {
                self.load(register, random.below(16));
                self.control(0x22, 8, register);
            }
            _ => {
                self.load(RAX, random.below(16));
                self.instruction(&[0x0f, 0x01, 0xf0]); // lmsw ax
            }
        }
    }

    /// Debug registers, without enabling a breakpoint.
    fn debug(&mut self, random: &mut Random) {
        let register = changeable(random);
        let debug = [0, 1, 2, 3, 6, 7][random.below(6) as usize];
        let code = [0x40 | register >> 3, 0x0f, 0x21, 0xc0 | debug << 3 | register & 7];
        if random.once_in(2) {
            self.instruction(&code);
            return;
        }
        let value = match debug {
            6 => self.first_dr6() | random.word() & 0xa00f,
            7 => 0x400 | random.word() & 0xffff_0000,
            _ => edge(random),
        };
        self.load(register, value);
        let [rex, first, _, modrm] = code;
        self.instruction(&[rex, first, 0x23, modrm]);
    }

    fn msr(&mut self, random: &mut Random) {
        let (index, bits) = MSRS[random.below(8) as usize];
        self.load(RCX, index.into());
        if random.once_in(2) {
            self.instruction(&[0x0f, 0x32]);
            return;
        }
        let mut value = random.word() & bits;
        match index {
            0xc000_0080 => value |= 0x500,
            0xc000_0081 => value = bits,
            // The handler must not be stepped.
            0xc000_0084 => value |= 0x100,
            _ => {}
        }
        self.load(RAX, value & 0xffff_ffff);
        self.load(RDX, value >> 32);
        self.instruction(&[0x0f, 0x30]);
    }

    /// LLDT and LTR of AX, of which a null LDT only succeeds. QEMU loads a null
    /// task register, too.
    fn tables(&mut self, random: &mut Random) {
        let selector = [KERNEL_DATA, TASK, OUTSIDE, LDT_SELECTOR][random.below(4) as usize];
        let (selector, modrm) = match random.below(4) {
            0..=1 => (selector, 0xd8),
            2 => (selector, 0xd0),
            _ => (0, 0xd0),
        };
        self.load(RAX, selector.into());
        self.instruction(&[0x0f, 0x00, modrm]);
    }

    fn segment(&mut self, random: &mut Random) {
        self.load(RAX, selector(random).into());
        let name = [0, 2, 3, 4, 5][random.below(5) as usize];
        self.instruction(&[0x8e, 0xc0 | name << 3]);
    }

    /// INT n, INT3 and INT1. Vector 0xff is seL4's, and ignored.
    fn interrupt(&mut self, random: &mut Random) {
        match random.below(8) {
            0 => self.instruction(&[0xcc]),
            _ => self.instruction(&[0xcd, random.below(255) as u8]),
        }
    }

    /// SYSRET to the next instruction.
    fn sysret(&mut self, random: &mut Random) {
        self.load(R11, flags(random));
        // MOV and SYSRET are 10 and 3 bytes long.
        self.load(RCX, self.here() + 13);
        self.instruction(&[0x48, 0x0f, 0x07]);
    }

    /// IRETQ to the next instruction, at either level, or by a bad selector.
    fn iret(&mut self, random: &mut Random) {
        let (cs, ss) = match random.below(5) {
            0..=1 => (KERNEL_CODE, KERNEL_DATA),
            2..=3 => (USER_CODE, USER_DATA),
            // QEMU takes SS that is not present for #NP (SDM vol. 2A, IRET: #SS).
            _ => match selector(random) {
                ABSENT_DATA => (far_selector(random), KERNEL_DATA),
                ss => (far_selector(random), ss),
            },
        };
        self.push(ss.into());
        // MOV RAX, RSP and PUSH RAX: what RSP was before SS.
        self.instruction(&[0x48, 0x8d, 0x44, 0x24, 0x08]);
        self.instruction(&[0x50]);
        self.push(flags(random));
        self.push(cs.into());
        self.load(RAX, 0);
        let patch = self.length - 8;
        self.instruction(&[0x50]);
        self.instruction(&[0x48, 0xcf]);
        self.patch(patch);
    }

    /// The address of what comes next into eight bytes at `place`.
    fn patch(&mut self, place: usize) {
        let target = self.here().to_le_bytes();
        if let Some(bytes) = self.bytes.get_mut(place..place + 8) {
            bytes.copy_from_slice(&target);
        }
    }

    /// RETFQ, or a far JMP or CALL through the stack, to the next instruction.
    fn far(&mut self, random: &mut Random) {
        let selector = match random.below(3) {
            0 => KERNEL_CODE,
            1 => USER_CODE,
            _ => far_selector(random),
        };
        self.push(selector.into());
        self.load(RAX, 0);
        let patch = self.length - 8;
        self.instruction(&[0x50]);
        match random.below(4) {
            0 => self.instruction(&[0x48, 0xff, 0x2c, 0x24]),
            1 => self.instruction(&[0x48, 0xff, 0x1c, 0x24]),
            2 => self.instruction(&[0x48, 0xca, 8, 0]),
            _ => self.instruction(&[0x48, 0xcb]),
        }
        self.patch(patch);
    }

    /// Ports that no device has: they read as ones.
    fn port(&mut self, random: &mut Random) {
        const PORT: u8 = 0xe0;
        match random.below(4) {
            0 => self.instruction(&[0xe4 | random.below(4) as u8, PORT]),
            1 => {
                self.load(RDX, PORT.into());
                self.instruction(&[0x66, 0xec | random.below(4) as u8]);
            }
            2 => {
                self.load(RDX, PORT.into());
                self.instruction(&[0x6c | random.below(4) as u8]);
            }
            _ => {
                self.load(RDX, PORT.into());
                self.load(RCX, random.below(4));
                self.instruction(&[0xf3, 0x6c | random.below(4) as u8]);
            }
        }
    }
}

/// A register that may change.
fn changeable(random: &mut Random) -> u8 {
    CHANGEABLE[random.below(9) as usize]
}

fn selector(random: &mut Random) -> u16 {
    SELECTORS[random.below(13) as usize]
}

fn far_selector(random: &mut Random) -> u16 {
    FAR_SELECTORS[random.below(13) as usize]
}

/// An edge value, or any.
pub fn edge(random: &mut Random) -> u64 {
    if random.once_in(3) { random.word() } else { EDGES[random.below(12) as usize] }
}

/// Any flags; TF now and then.
pub fn flags(random: &mut Random) -> u64 {
    const TF: u64 = 1 << 8;
    const NT: u64 = 1 << 14;
    let rare = if random.once_in(4) { 0 } else { TF | NT };
    random.word() & FLAGS & !rare | 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the seed: in bounds, and every instruction has its place.
    #[test]
    fn sequences_are_whole() {
        for seed in 0..2000 {
            let mut random = Random::of(seed, 1);
            let sequence = Sequence::generate(&mut random, 12, 0x1000);
            assert!(sequence.bytes().ends_with(&[0x0f, 0x0b]));
            let mut at = 0x1000;
            let mut count = 1;
            while let Some(next) = sequence.behind(at) {
                assert!(next > at && sequence.holds(next));
                at = next;
                count += 1;
            }
            assert_eq!((at, count), (sequence.end(), sequence.count));
            assert!(count >= 13 && sequence.length < CAPACITY - 100, "{count}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let bytes = |seed| {
            let sequence = Sequence::generate(&mut Random::of(seed, 1), 12, 0);
            sequence.bytes().to_vec()
        };
        assert_eq!(bytes(5), bytes(5));
        assert_ne!(bytes(5), bytes(6));
    }

    /// Only sequences that start with DR6.BS have STI.
    #[test]
    fn single_steps_over_sti_do_not_show() {
        let mut with = [0, 0];
        for seed in 0..2000 {
            let sequence = Sequence::generate(&mut Random::of(seed, 1), 12, 0x1000);
            let here = (0x1000..sequence.end()).any(|rip| sequence.enables(rip));
            let set = sequence.first_dr6() & DR6_BS != 0;
            assert!(set || !here);
            with[usize::from(set)] += 1;
        }
        assert!(with.iter().all(|&count| count > 800), "{with:?}");
    }

    /// What looks like an instruction inside another one is none.
    #[test]
    fn instructions_are_known_by_place_and_bytes() {
        let mut sequence = Sequence::generate(&mut Random::of(1, 1), 0, 0x1000);
        let start = sequence.here();
        let int_0x80: &[u8] = &[0xcd, 0x80];
        let syscall: &[u8] = &[0x0f, 0x05];
        let rep_insd: &[u8] = &[0xf3, 0x6d];
        let pushes: [&[u8]; 2] = [&[0x68, 0xcd, 0x80, 0x0f, 0x05], &[0x68, 0xf3, 0x6d, 0, 0]];
        for code in [int_0x80, syscall, rep_insd].into_iter().chain(pushes) {
            sequence.instruction(code);
        }
        let places = |is: &dyn Fn(u64) -> bool| -> Vec<u64> {
            (0..sequence.here() - start).filter(|offset| is(start + offset)).collect()
        };
        assert_eq!(places(&|rip| sequence.interrupts(rip, 0x80)), [2]); // behind it
        assert_eq!(places(&|rip| sequence.interrupts(rip, 0x81)), []);
        assert_eq!(places(&|rip| sequence.calls(rip)), [2]);
        assert_eq!(places(&|rip| sequence.repeats(rip)), [4]);
    }

    /// Frames are made so that they come back to the sequence.
    #[test]
    fn returns_lead_to_the_next_instruction() {
        let mut random = Random::of(9, 1);
        let mut sequence = Sequence::generate(&mut random, 0, 0x1_0000_0000);
        for _ in 0..4 {
            let before = sequence.length;
            sequence.iret(&mut random);
            let target = sequence.here().to_le_bytes();
            let code = &sequence.bytes[before..sequence.length];
            assert!(code.windows(8).any(|bytes| bytes == target));
        }
    }
}
