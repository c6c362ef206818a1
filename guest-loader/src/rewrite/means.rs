//! How an instruction is made to reach the virtual CPU.

use iced_x86::{Instruction, Mnemonic};

use crate::code::{FIRST_TRAP, Nature};

/// Bytes behind a trap that is shorter than what it stands for. Nothing runs
/// them; a stray jump there is a breakpoint.
const FILLER: u8 = 0xcc;

/// What the kernel under the guest does with system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelSupport {
    /// Every `syscall` of a guest reaches its server with exact registers:
    /// edits E5 and E8 (`cargo umbriel kernel`).
    ExactSyscall,
    /// An unedited seL4: `syscall` loses RSP, and some numbers are seL4's own.
    Plain,
}

/// What stands in the image where the instruction was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The instruction itself: it traps, and its address tells what it is.
    Itself,
    /// `hlt`, one byte: a general protection fault, which brings RIP, RSP and
    /// RFLAGS. For instructions that need no more.
    Halt,
    /// `int 0x9e`, two bytes: an unknown system call of seL4's, which brings
    /// all general registers.
    Interrupt,
    /// `ud2`, two bytes: for `syscall` on kernels that would take it for theirs.
    Undefined,
}

impl Means {
    /// How `instruction` reaches the virtual CPU; `None` if it is left alone.
    pub fn of(instruction: &Instruction, kernel: KernelSupport) -> Option<Self> {
        let enough = brings_enough(instruction.mnemonic());
        Some(match Nature::of(instruction) {
            Nature::Silent(_) if enough || instruction.len() < 2 => Self::Halt,
            Nature::Silent(_) => Self::Interrupt,
            Nature::Privileged if enough || instruction.len() < 2 => Self::Itself,
            Nature::Privileged => Self::Interrupt,
            Nature::SystemCall if instruction.mnemonic() == Mnemonic::Syscall => match kernel {
                KernelSupport::ExactSyscall => Self::Itself,
                KernelSupport::Plain => Self::Undefined,
            },
            Nature::SystemCall => Self::Itself,
            _ => return None,
        })
    }

    /// The bytes that stand for `original`, of the same length.
    ///
    /// # Panics
    /// If `original` is shorter than the trap: [`Means::of`] picks none such.
    pub fn bytes(self, original: &[u8]) -> Vec<u8> {
        let trap: &[u8] = match self {
            Self::Itself => original,
            Self::Halt => &[0xf4],
            Self::Interrupt => &[0xcd, FIRST_TRAP],
            Self::Undefined => &[0x0f, 0x0b],
        };
        assert!(trap.len() <= original.len(), "a trap fits its place");
        let mut bytes = trap.to_vec();
        bytes.resize(original.len(), FILLER);
        bytes
    }

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Halt => "hlt",
            Self::Interrupt => "int 0x9e",
            Self::Undefined => "ud2",
        }
    }
}

/// Whether RIP, RSP and RFLAGS, which an exception brings along, are all that
/// the instruction needs; or whether it needs FS and GS bases, which have to be
/// fetched either way.
const fn brings_enough(mnemonic: Mnemonic) -> bool {
    use Mnemonic as M;
    matches!(
        mnemonic,
        M::Pushf
            | M::Pushfd
            | M::Pushfq
            | M::Popf
            | M::Popfd
            | M::Popfq
            | M::Iret
            | M::Iretd
            | M::Iretq
            | M::Retf
            | M::Push
            | M::Pop
            | M::Cli
            | M::Sti
            | M::Hlt
            | M::Clts
            | M::Invd
            | M::Wbinvd
            | M::Swapgs
            | M::Int
    )
}
