//! Decoder for the privileged and sensitive instructions, without allocation.
//!
//! Only 64-bit mode, and only the instructions of [`Operation`]; anything else
//! is [`DecodeError::Unclaimed`], which means that hardware's own verdict on
//! the instruction stands. Encodings: SDM vol. 2, chapter 2 and appendix A.
//! The tests compare it with iced-x86 over random bytes.

mod cursor;
mod opcode;
mod operand;

#[cfg(test)]
mod tests;

pub use operand::{Memory, Rm, Width};

use crate::RegisterSet;
use crate::segment::SegmentName;

/// Longest instruction in bytes (SDM vol. 2A, §2.3.11).
pub const MAX_LENGTH: usize = 15;

/// One decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its length in bytes, 1 to 15.
    pub length: u8,
    /// What it does.
    pub operation: Operation,
}

/// Why bytes are not an instruction of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end inside the instruction.
    Truncated,
    /// The instruction would be longer than [`MAX_LENGTH`] (#GP).
    TooLong,
    /// Not an instruction of [`Operation`].
    Unclaimed,
}

/// GDTR or IDTR, as an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the manual's names say it
pub enum Table {
    Gdt,
    Idt,
}

/// A control register that MOV reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the manual's names say it
pub enum Control {
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Cr8,
}

/// Where a port number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the manual's names say it
pub enum Port {
    Immediate(u8),
    Dx,
}

/// What INS and OUTS need beside RSI, RDI, RCX and RFLAGS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringStep {
    /// Bytes per step: 1, 2 or 4.
    pub size: u8,
    /// A REP prefix counts steps in RCX.
    pub repeat: bool,
    /// Addresses and the count are 32 bits wide.
    pub address_32: bool,
    /// FS or GS override of the source (OUTS only).
    pub segment: Option<SegmentName>,
}

/// The instructions that the virtual CPU executes or refuses. Registers are
/// numbers for [`Registers::get`](crate::Registers::get).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the manual's names say it
pub enum Operation {
    Hlt,
    Cli,
    Sti,
    Clts,
    Invd,
    Wbinvd,
    Swapgs,
    Rdmsr,
    Wrmsr,
    Rdpmc,
    Rdtsc,
    Rdtscp,
    Cpuid,
    Monitor,
    Mwait,
    Xgetbv,
    Xsetbv,
    Invpcid,
    Ud2,
    Syscall,
    Sysenter,
    Sysexit {
        long: bool,
    },
    Sysret {
        long: bool,
    },
    Int1,
    Int3,
    Int {
        vector: u8,
    },
    Iret {
        width: Width,
    },
    /// RETF; `release` bytes of parameters are dropped.
    FarReturn {
        width: Width,
        release: u16,
    },
    FarJump {
        width: Width,
        memory: Memory,
    },
    FarCall {
        width: Width,
        memory: Memory,
    },
    MovFromControl {
        control: Control,
        register: u8,
    },
    MovToControl {
        control: Control,
        register: u8,
    },
    MovFromDebug {
        debug: u8,
        register: u8,
    },
    MovToDebug {
        debug: u8,
        register: u8,
    },
    LoadTable {
        table: Table,
        memory: Memory,
    },
    StoreTable {
        table: Table,
        memory: Memory,
    },
    Lldt {
        source: Rm,
    },
    Ltr {
        source: Rm,
    },
    Sldt {
        target: Rm,
        width: Width,
    },
    Str {
        target: Rm,
        width: Width,
    },
    Smsw {
        target: Rm,
        width: Width,
    },
    Lmsw {
        source: Rm,
    },
    Invlpg {
        memory: Memory,
    },
    MovFromSegment {
        segment: SegmentName,
        target: Rm,
        width: Width,
    },
    MovToSegment {
        segment: SegmentName,
        source: Rm,
    },
    /// PUSH FS or PUSH GS.
    PushSegment {
        segment: SegmentName,
        width: Width,
    },
    /// POP FS or POP GS.
    PopSegment {
        segment: SegmentName,
        width: Width,
    },
    /// LSS, LFS, LGS.
    LoadFarPointer {
        segment: SegmentName,
        register: u8,
        width: Width,
        memory: Memory,
    },
    PushFlags {
        width: Width,
    },
    PopFlags {
        width: Width,
    },
    Lar {
        register: u8,
        width: Width,
        source: Rm,
    },
    Lsl {
        register: u8,
        width: Width,
        source: Rm,
    },
    /// VERR, or VERW if `write`.
    Verify {
        source: Rm,
        write: bool,
    },
    In {
        size: u8,
        port: Port,
    },
    Out {
        size: u8,
        port: Port,
    },
    Ins(StringStep),
    Outs(StringStep),
    /// RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: #UD, since CR4.FSGSBASE is not offered.
    FsGsBase,
}

impl Operation {
    /// Whether it changes no register but RIP, RSP and RFLAGS; `false` if that is
    /// not worth knowing.
    pub(crate) const fn only_reads(&self) -> bool {
        matches!(self, Self::MovToControl { .. } | Self::Invlpg { .. } | Self::Out { .. })
    }

    /// The registers that executing it reads or writes.
    pub(crate) fn registers(&self) -> RegisterSet {
        match self {
            Self::Hlt
            | Self::Cli
            | Self::Sti
            | Self::Clts
            | Self::Invd
            | Self::Wbinvd
            | Self::Int1
            | Self::Int3
            | Self::Int { .. }
            | Self::Iret { .. }
            | Self::FarReturn { .. }
            | Self::PushSegment { .. }
            | Self::PushFlags { .. }
            | Self::PopFlags { .. }
            | Self::Ud2 => RegisterSet::First,
            // Of the MSRs, two are registers here: FS and GS bases. They are
            // asked for when the number says so.
            Self::In { .. }
            | Self::Out { .. }
            | Self::Cpuid
            | Self::Rdtsc
            | Self::Rdmsr
            | Self::Wrmsr => RegisterSet::Low,
            Self::MovFromControl { register, .. } | Self::MovToControl { register, .. } => {
                RegisterSet::Through(*register)
            }
            Self::Invlpg { memory } => RegisterSet::of_address(memory),
            // RCX and R11.
            Self::Syscall | Self::Sysret { .. } => RegisterSet::Through(11),
            Self::MovFromSegment { target: Rm::Register(register), .. } => {
                RegisterSet::Through(*register)
            }
            _ => RegisterSet::All,
        }
    }
}

/// Decodes the instruction at the start of `bytes` in 64-bit mode.
///
/// # Errors
/// See [`DecodeError`]. `Truncated` is final only when `bytes` holds
/// [`MAX_LENGTH`] bytes, where it becomes `TooLong`.
pub fn decode(bytes: &[u8]) -> Result<Instruction, DecodeError> {
    let window = bytes.get(..MAX_LENGTH).unwrap_or(bytes);
    let mut cursor = cursor::Cursor::new(window);
    match opcode::operation(&mut cursor) {
        Ok(operation) => Ok(Instruction { length: cursor.position(), operation }),
        Err(DecodeError::Truncated) if window.len() == MAX_LENGTH => Err(DecodeError::TooLong),
        Err(error) => Err(error),
    }
}
