//! A machine with a GDT, an IDT and a TSS, ready for an instruction.

use std::sync::LazyLock;

use crate::testing::FlatMachine;
use crate::{
    Completion, Outcome, Registers, Segment, TableRegister, Trap, VcpuState, complete, handle,
    inject_interrupt,
};

pub const RAM: usize = 0x1_0000;
pub const GDT: u64 = 0x1000;
pub const IDT: u64 = 0x2000;
pub const TSS: u64 = 0x3000;
pub const CODE: u64 = 0x4000;
pub const STACK: u64 = 0x6000;
pub const RSP0: u64 = 0x7000;
pub const IST1: u64 = 0x8008;
pub const DATA: u64 = 0x9000;

/// Selectors of the rig's GDT.
pub const KERNEL_CODE: u16 = 0x08;
pub const KERNEL_DATA: u16 = 0x10;
pub const USER_DATA: u16 = 0x1b;
pub const USER_CODE: u16 = 0x23;
pub const TASK: u16 = 0x28;
pub const CODE32: u16 = 0x38;
pub const ABSENT_CODE: u16 = 0x40;
pub const ABSENT_DATA: u16 = 0x48;
pub const LDT: u16 = 0x50;
pub const CONFORMING: u16 = 0x60;
pub const GDT_LIMIT: u16 = 0x67;

/// The handler of `vector`.
pub const fn handler(vector: u8) -> u64 {
    0x10_0000 + vector as u64 * 0x10
}

/// The rig that every test starts from, built once.
static FRESH: LazyLock<Rig> = LazyLock::new(Rig::build);

/// CPU and machine.
#[derive(Clone)]
pub struct Rig {
    pub state: VcpuState,
    pub registers: Registers,
    pub machine: Box<FlatMachine<RAM>>,
}

impl Rig {
    /// CPL 0, interrupts off, all 256 gates: interrupt gates of DPL 0 into
    /// kernel code without IST; vector 128 is a trap gate of DPL 3.
    pub fn new() -> Self {
        FRESH.clone()
    }

    fn build() -> Self {
        let mut rig = Self {
            state: VcpuState::long_mode(0x2000, KERNEL_CODE, KERNEL_DATA),
            registers: Registers { rip: CODE, rsp: STACK, rflags: 0x202, ..Default::default() },
            machine: Box::default(),
        };
        let gdt: [u64; 13] = [
            0,
            0x00af_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_f300_0000_ffff,
            0x00af_fb00_0000_ffff,
            0x0000_8900_3000_0067,
            0,
            0x00cf_9b00_0000_ffff,
            0x00af_1b00_0000_ffff,
            0x00cf_1300_0000_ffff,
            0x0000_8200_9000_000f,
            0,
            0x00af_9f00_0000_ffff,
        ];
        for (index, descriptor) in gdt.into_iter().enumerate() {
            rig.machine.put_u64(GDT + 8 * index as u64, descriptor);
        }
        for vector in 0..=255 {
            rig.gate(vector, KERNEL_CODE, handler(vector), 0x8e, 0);
        }
        rig.gate(128, KERNEL_CODE, handler(128), 0xef, 0);
        rig.machine.put_u64(TSS + 4, RSP0);
        rig.machine.put_u64(TSS + 36, IST1);
        rig.machine.put(TSS + 102, &0x68_u16.to_le_bytes());
        rig.state.gdtr = TableRegister::new(GDT, GDT_LIMIT);
        rig.state.idtr = TableRegister::new(IDT, 0xfff);
        rig.state.tr = Segment { base: TSS, limit: 0x67, selector: TASK, attributes: 0x8b };
        rig
    }

    /// The same at CPL 3.
    pub fn user() -> Self {
        let mut rig = Self::new();
        rig.state.cpl = 3;
        rig.state.cs = Segment::flat_code(USER_CODE, 3);
        rig.state.ss = Segment::flat_data(USER_DATA, 3);
        rig
    }

    pub fn gate(&mut self, vector: u8, selector: u16, offset: u64, attributes: u8, ist: u8) {
        let low = offset & 0xffff
            | u64::from(selector) << 16
            | u64::from(ist) << 32
            | u64::from(attributes) << 40
            | (offset >> 16 & 0xffff) << 48;
        let address = IDT + 16 * u64::from(vector);
        self.machine.put_u64(address, low);
        self.machine.put_u64(address + 8, offset >> 32);
    }

    /// Removes the gate of `vector`.
    pub fn no_gate(&mut self, vector: u8) {
        self.gate(vector, 0, 0, 0, 0);
    }

    pub fn trap(&mut self, trap: Trap) -> Outcome {
        handle(&mut self.state, &mut self.registers, trap, &mut *self.machine)
    }

    /// Puts `code` at RIP and lets it trap as hardware would: #GP(0).
    pub fn run(&mut self, code: &[u8]) -> Outcome {
        self.machine.put(self.registers.rip, code);
        self.trap(Trap::Exception { vector: 13, error_code: 0 })
    }

    /// Runs `code`, which must be done and be followed by the next instruction.
    #[track_caller]
    pub fn step(&mut self, code: &[u8]) {
        let next = self.registers.rip + code.len() as u64;
        assert_eq!(self.run(code), Outcome::Resume);
        assert_eq!(self.registers.rip, next, "RIP after {code:02x?}");
    }

    pub fn complete(&mut self, completion: Completion) -> Outcome {
        complete(&mut self.state, &mut self.registers, completion, &mut *self.machine)
    }

    pub fn interrupt(&mut self, vector: u8) -> Outcome {
        inject_interrupt(&mut self.state, &mut self.registers, vector, &mut *self.machine)
    }

    /// Words on the stack from RSP up.
    pub fn stack<const N: usize>(&self) -> [u64; N] {
        core::array::from_fn(|index| self.machine.u64(self.registers.rsp + 8 * index as u64))
    }

    /// Asserts that the CPU is in the handler of `vector` and gives the frame
    /// with its error code: [code, RIP, CS, RFLAGS, RSP, SS].
    #[track_caller]
    pub fn frame_with_code(&self, vector: u8) -> [u64; 6] {
        assert_eq!(self.registers.rip, handler(vector), "handler of {vector}");
        self.stack()
    }

    /// The same without an error code: [RIP, CS, RFLAGS, RSP, SS].
    #[track_caller]
    pub fn frame(&self, vector: u8) -> [u64; 5] {
        assert_eq!(self.registers.rip, handler(vector), "handler of {vector}");
        self.stack()
    }

    /// Runs `code` and asserts that it raises `vector` with `error_code` and
    /// leaves RIP at the instruction.
    #[track_caller]
    pub fn faults(&mut self, code: &[u8], vector: u8, error_code: u64) {
        let rip = self.registers.rip;
        assert_eq!(self.run(code), Outcome::Resume);
        let [pushed, frame_rip, ..] = self.frame_with_code(vector);
        assert_eq!((pushed, frame_rip), (error_code, rip), "{code:02x?}");
    }
}
