//! What leaves the CPU: outcomes, exits to the platform, and their completion.

use x86::Vector;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::decode::{Instruction, MAX_LENGTH};

/// Why the guest thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// An exception other than a page fault, as the kernel reports it: RIP is
    /// the thread's. `error_code` is hardware's and only used where no
    /// sensitive instruction is found at RIP (TCG gives `int n` a wrong one).
    Exception {
        /// Vector number.
        vector: u64,
        /// Error code.
        error_code: u64,
    },
    /// A page fault that the guest's own page tables raise, with the code
    /// that hardware would give. The U bit is set from the virtual CPL.
    PageFault(x86::PageFault),
    /// A `syscall` instruction at RIP. Nothing is fetched.
    SystemCall,
    /// An `int n` of two bytes at RIP. Nothing is fetched.
    Interrupt {
        /// n.
        vector: u8,
    },
    /// The kernel's unknown-system-call fault: RIP is at an `int n` or
    /// `syscall`, which the bytes there tell apart.
    SoftwareInterrupt,
    /// An instruction that was replaced by one of the same length that traps.
    /// RIP is at its start, wherever the replacement left it.
    Rewritten(Original),
    /// The same, decoded already.
    Known(Instruction),
}

impl Trap {
    /// What the kernel reports as the unknown system call `number` of a thread
    /// with these registers: of `syscall` it is RDX, of `int n` it is
    /// `n << 24 | EAX & 0xff_ffff`, sign-extended from 32 bits. Where a number
    /// could be both, the bytes at RIP decide.
    pub const fn of_unknown_system_call(number: u64, rax: u64, rdx: u64) -> Self {
        const LOW: u64 = 0xff_ffff;
        let interrupt = number as i32 as u64 == number && (number ^ rax) & LOW == 0;
        match (interrupt, number == rdx) {
            (true, false) => Self::Interrupt { vector: (number >> 24) as u8 },
            (false, true) => Self::SystemCall,
            _ => Self::SoftwareInterrupt,
        }
    }
}

/// The bytes of an instruction that is not in memory any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// The instruction, and whatever behind it.
    pub bytes: [u8; MAX_LENGTH],
    /// Its length. Bytes that are not one instruction of this length that the
    /// CPU knows raise #UD.
    pub length: u8,
}

impl Original {
    /// The instruction that `bytes` hold, cut after [`MAX_LENGTH`].
    pub fn new(bytes: &[u8]) -> Self {
        let mut original =
            Self { bytes: [0; MAX_LENGTH], length: bytes.len().min(MAX_LENGTH) as u8 };
        for (to, from) in original.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        original
    }

    /// The bytes that count.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or(&self.bytes)
    }
}

/// What happens next to the guest thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It runs on with the registers as they are now.
    Resume,
    /// The platform acts first; [`complete`](crate::complete) finishes the instruction.
    Exit(Exit),
    /// The CPU is shut down (SDM vol. 3A, §6.15, interrupt 8): the guest ends.
    Shutdown(TripleFault),
}

/// Three exceptions in a row. State and registers are those at the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripleFault {
    /// Vector whose delivery failed first.
    pub first: u8,
    /// Vector that the delivery of #DF raised.
    pub last: u8,
    /// Error code of `last`.
    pub error_code: u32,
}

/// Something only the platform can do. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// OUT or one step of OUTS. Completion: [`Completion::Done`].
    PortOut {
        /// Port number.
        port: u16,
        /// 1, 2 or 4.
        size: u8,
        /// The value, zero-extended.
        value: u32,
    },
    /// IN or one step of INS. Completion: [`Completion::Value`].
    PortIn {
        /// Port number.
        port: u16,
        /// 1, 2 or 4.
        size: u8,
    },
    /// RDMSR of a register of the platform: time and interrupt controller; or
    /// RDTSC. Completion: [`Completion::Value`], or #GP(0).
    ReadMsr {
        /// MSR number.
        index: u32,
    },
    /// WRMSR to such a register. Completion: [`Completion::Done`], or #GP(0).
    WriteMsr {
        /// MSR number.
        index: u32,
        /// EDX:EAX.
        value: u64,
    },
    /// HLT; RIP is already behind it. The vCPU sleeps until an interrupt or
    /// [`Completion::Done`].
    Halt {
        /// Whether an interrupt can wake it.
        interrupts_enabled: bool,
    },
}

/// How the platform answers an [`Exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The effect took place.
    Done,
    /// The value read.
    Value(u64),
    /// The instruction raises this exception instead.
    Exception {
        /// Vector.
        vector: Vector,
        /// Error code, for vectors that have one.
        error_code: u32,
    },
}

/// An exit that awaits its completion, as [`VcpuState`](crate::VcpuState)
/// keeps it. All zero: none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PendingExit {
    /// A [`PendingKind`] as a number; others count as none.
    pub(crate) kind: u8,
    /// Length of the instruction in bytes.
    pub(crate) length: u8,
    /// Operand size in bytes.
    pub(crate) size: u8,
    /// [`PendingExit::REPEAT`] and [`PendingExit::ADDRESS_32`].
    pub(crate) flags: u8,
    pub(crate) reserved: [u8; 4],
}

/// What an exit's completion does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PendingKind {
    /// Nothing but go on: OUT, WRMSR.
    Retire = 1,
    /// Value to AL, AX or EAX.
    Accumulator = 2,
    /// Value to EDX:EAX.
    ReadMsr = 3,
    /// Step RSI and RCX.
    Outs = 5,
    /// Store, then step RDI and RCX.
    Ins = 6,
    /// Wake up.
    Halt = 7,
}

impl PendingExit {
    /// A REP prefix was present.
    pub(crate) const REPEAT: u8 = 1 << 0;
    /// The address size is 32 bits.
    pub(crate) const ADDRESS_32: u8 = 1 << 1;

    pub(crate) const fn new(kind: PendingKind, length: u8, size: u8, flags: u8) -> Self {
        Self { kind: kind as u8, length, size, flags, reserved: [0; 4] }
    }

    pub(crate) const fn repeats(self) -> bool {
        self.flags & Self::REPEAT != 0
    }

    pub(crate) const fn address_32(self) -> bool {
        self.flags & Self::ADDRESS_32 != 0
    }

    pub(crate) const fn kind(&self) -> Option<PendingKind> {
        Some(match self.kind {
            1 => PendingKind::Retire,
            2 => PendingKind::Accumulator,
            3 => PendingKind::ReadMsr,
            5 => PendingKind::Outs,
            6 => PendingKind::Ins,
            7 => PendingKind::Halt,
            _ => return None,
        })
    }

    /// Whether an instruction is half done. A halted CPU is between instructions.
    pub const fn is_some(&self) -> bool {
        !matches!(self.kind(), None | Some(PendingKind::Halt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel makes them: `int n` of vectors 0x9e to 0xfe.
    #[test]
    fn unknown_system_calls_are_told_apart() {
        let of_int = |vector: u8, rax: u64| {
            ((u32::from(vector) << 24 | rax as u32 & 0xff_ffff) as i32) as u64
        };
        for vector in 0x9e..=0xfe {
            for rax in [0, 1, 0x1234_5678_9abc_def0, u64::MAX] {
                let number = of_int(vector, rax);
                for rdx in [0, 1, rax, number ^ 1, number | 1 << 40, !number] {
                    if rdx != number {
                        assert_eq!(
                            Trap::of_unknown_system_call(number, rax, rdx),
                            Trap::Interrupt { vector }
                        );
                    }
                }
                assert_eq!(
                    Trap::of_unknown_system_call(number, rax, number),
                    Trap::SoftwareInterrupt
                );
            }
        }
    }

    /// A `syscall` is told by RDX, whatever that holds.
    #[test]
    fn system_calls_by_any_number() {
        let edges = [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, i64::MAX as u64];
        for rdx in (-64_i64..=64).map(|rdx| rdx as u64).chain(edges) {
            let trap = Trap::of_unknown_system_call(rdx, !rdx, rdx);
            assert_eq!(trap, Trap::SystemCall, "{rdx:#x}");
            let either = Trap::of_unknown_system_call(rdx, rdx, rdx);
            assert!(matches!(either, Trap::SystemCall | Trap::SoftwareInterrupt));
        }
    }
}
