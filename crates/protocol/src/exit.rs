//! Exits of a vCPU that the vmm has to serve, and how it completes them.
//!
//! Both fit the four message registers that travel in CPU registers.

/// Label of a reply that carries an [`Exit`].
pub const EXIT: u64 = 0x180;

/// Why a vCPU stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest wrote `value` to an I/O port.
    PortOut {
        /// The port.
        port: u16,
        /// Bytes: 1, 2 or 4.
        size: u8,
        /// What it wrote, in the low bytes.
        value: u32,
        /// For 4 bytes whose value is the 8-aligned guest-physical address of
        /// RAM: the two words there, as they were when it wrote.
        argument: Option<[u64; 2]>,
    },
    /// The guest reads an I/O port; complete with [`Completion::Value`].
    PortIn {
        /// The port.
        port: u16,
        /// Bytes: 1, 2 or 4.
        size: u8,
    },
    /// The guest reads a model-specific register that the CPU state does not
    /// hold; complete with a value or [`Completion::GeneralProtection`].
    ReadMsr {
        /// Its number (ECX).
        index: u32,
    },
    /// The guest writes such a register.
    WriteMsr {
        /// Its number (ECX).
        index: u32,
        /// EDX:EAX.
        value: u64,
    },
    /// `hlt`; `interruptible` says whether interrupts were on.
    Halt {
        /// The virtual IF.
        interruptible: bool,
    },
    /// The guest wrote to memory that its platform makes read-only.
    ReadOnlyMemory {
        /// The address.
        gpa: u64,
        /// The instruction.
        rip: u64,
    },
    /// The guest touched an address that is not RAM.
    NotRam {
        /// The address.
        gpa: u64,
        /// The instruction.
        rip: u64,
        /// Whether it was a write.
        write: bool,
    },
    /// Triple fault; the registers lie in the bounce area as a
    /// [`RegisterDump`].
    Shutdown,
    /// An instruction that this version does not virtualise.
    Unsupported {
        /// The instruction.
        rip: u64,
        /// Its first bytes.
        bytes: u64,
    },
    /// No exit of a vCPU: a driver has signalled. Nothing to complete.
    Woken {
        /// Whether it was the console, which has input. Otherwise it was the
        /// timer: a deadline has passed.
        input: bool,
    },
}

/// Message words of an exit: kind and small fields, then three values.
pub type Words = [u64; 4];

/// Where the first word of an exit holds the vCPUs that took the interrupt
/// that they were offered, a bit for each, since the last exit.
const TAKEN_SHIFT: u32 = 48;

/// Where it holds the vCPUs whose offers in the request that is answered came
/// too late, as they had just taken the ones before.
const LATE_SHIFT: u32 = 56;

/// What became of offers since the last exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The vCPUs that took the interrupt that they were offered, a bit for each.
    pub vcpus: u8,
    /// The vCPUs whose latest offers are void, a bit for each: they are among
    /// those above, and what they took is the offer before.
    pub late: u8,
}

impl Taken {
    /// `words` of an exit, with this added.
    pub const fn add_to(self, words: Words) -> Words {
        let [head, first, second, third] = words;
        let (vcpus, late) = (self.vcpus as u64, self.late as u64);
        let head = head | vcpus << TAKEN_SHIFT | late << LATE_SHIFT;
        [head, first, second, third]
    }

    /// What `words` of an exit say.
    pub const fn of(words: Words) -> Self {
        Self { vcpus: (words[0] >> TAKEN_SHIFT) as u8, late: (words[0] >> LATE_SHIFT) as u8 }
    }
}

impl Exit {
    /// The message words for this exit of vCPU number `vcpu`.
    pub const fn encode(self, vcpu: usize) -> Words {
        let vcpu = (vcpu as u64) << 8;
        match self {
            Self::PortOut { port, size, value, argument } => {
                let (present, [first, second]) = match argument {
                    Some(words) => (1, words),
                    None => (0, [0; 2]),
                };
                let port = (port as u64) << 16 | (size as u64) << 32;
                [1 | vcpu | port | present << 40, value as u64, first, second]
            }
            Self::PortIn { port, size } => {
                [2 | vcpu | (port as u64) << 16 | (size as u64) << 32, 0, 0, 0]
            }
            Self::ReadMsr { index } => [3 | vcpu, index as u64, 0, 0],
            Self::WriteMsr { index, value } => [4 | vcpu, index as u64, value, 0],
            Self::Halt { interruptible } => [5 | vcpu, interruptible as u64, 0, 0],
            Self::ReadOnlyMemory { gpa, rip } => [6 | vcpu, gpa, rip, 0],
            Self::NotRam { gpa, rip, write } => [7 | vcpu, gpa, rip, write as u64],
            Self::Shutdown => [8 | vcpu, 0, 0, 0],
            Self::Unsupported { rip, bytes } => [9 | vcpu, rip, bytes, 0],
            Self::Woken { input } => [10 | vcpu, input as u64, 0, 0],
        }
    }

    /// The vCPU and the exit in `words`, or `None` if they are malformed.
    pub const fn decode(words: Words) -> Option<(usize, Self)> {
        let [head, first, second, third] = words;
        let vcpu = (head >> 8 & 0xff) as usize;
        let port = (head >> 16) as u16;
        let size = (head >> 32) as u8;
        let exit = match head & 0xff {
            1 if matches!(size, 1 | 2 | 4) => Self::PortOut {
                port,
                size,
                value: first as u32,
                argument: if head >> 40 & 1 != 0 { Some([second, third]) } else { None },
            },
            2 if matches!(size, 1 | 2 | 4) => Self::PortIn { port, size },
            3 => Self::ReadMsr { index: first as u32 },
            4 => Self::WriteMsr { index: first as u32, value: second },
            5 => Self::Halt { interruptible: first != 0 },
            6 => Self::ReadOnlyMemory { gpa: first, rip: second },
            7 => Self::NotRam { gpa: first, rip: second, write: third != 0 },
            8 => Self::Shutdown,
            9 => Self::Unsupported { rip: first, bytes: second },
            10 => Self::Woken { input: first != 0 },
            _ => return None,
        };
        Some((vcpu, exit))
    }
}

/// How the vmm completes an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Go on behind the instruction.
    Done,
    /// Go on behind the instruction with this result (`in`, `rdmsr`).
    Value(u64),
    /// Raise #GP(0) at the instruction.
    GeneralProtection,
    /// Raise #UD at the instruction.
    InvalidOpcode,
}

impl Completion {
    /// Kind and value words.
    pub const fn encode(self) -> (u64, u64) {
        match self {
            Self::Done => (0, 0),
            Self::Value(value) => (1, value),
            Self::GeneralProtection => (2, 0),
            Self::InvalidOpcode => (3, 0),
        }
    }

    /// The completion with these words.
    pub const fn decode(kind: u64, value: u64) -> Option<Self> {
        Some(match kind {
            0 => Self::Done,
            1 => Self::Value(value),
            2 => Self::GeneralProtection,
            3 => Self::InvalidOpcode,
            _ => return None,
        })
    }
}

/// The registers of a vCPU that shut down, as they lie at the start of the
/// bounce area.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct RegisterDump {
    /// rip rsp rflags rax rbx rcx rdx rsi rdi rbp r8–r15 fs_base gs_base.
    pub registers: [u64; 20],
    /// CR0, CR2, CR3, CR4, EFER.
    pub control: [u64; 5],
    /// The exception that could not be delivered.
    pub vector: u64,
    /// Its error code.
    pub error_code: u64,
}

/// Names of [`RegisterDump::registers`], in order.
pub const REGISTER_NAMES: [&str; 20] = [
    "rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10",
    "r11", "r12", "r13", "r14", "r15", "fs_base", "gs_base",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_round_trip() {
        let exits = [
            Exit::PortOut { port: 0x501, size: 4, value: 0xdead_beef, argument: Some([5, 6]) },
            Exit::PortIn { port: 0x3f8, size: 1 },
            Exit::ReadMsr { index: 0xc000_0080 },
            Exit::WriteMsr { index: 0x1b, value: u64::MAX },
            Exit::Halt { interruptible: true },
            Exit::ReadOnlyMemory { gpa: 0x10_0000, rip: 0x10_1234 },
            Exit::NotRam { gpa: 0xfee0_0000, rip: 5, write: true },
            Exit::Shutdown,
            Exit::Unsupported { rip: 1, bytes: 2 },
            Exit::Woken { input: true },
        ];
        for (vcpu, exit) in exits.into_iter().enumerate() {
            let taken = Taken { vcpus: 0xa5, late: 0x81 };
            let words = taken.add_to(exit.encode(vcpu));
            assert_eq!(Exit::decode(words), Some((vcpu, exit)));
            assert_eq!(Taken::of(words), taken);
        }
    }

    #[test]
    fn malformed_exits_are_refused() {
        assert_eq!(Exit::decode([0, 0, 0, 0]), None);
        assert_eq!(Exit::decode([11, 0, 0, 0]), None);
        assert_eq!(Exit::decode([1 | 3 << 32, 0, 0, 0]), None);
    }

    #[test]
    fn completions_round_trip() {
        for completion in [
            Completion::Done,
            Completion::Value(7),
            Completion::GeneralProtection,
            Completion::InvalidOpcode,
        ] {
            let (kind, value) = completion.encode();
            assert_eq!(Completion::decode(kind, value), Some(completion));
        }
        assert_eq!(Completion::decode(4, 0), None);
    }
}
