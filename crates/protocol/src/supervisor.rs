//! What processes report to the supervisor.

/// A vmm: its guest has ended. Word 0: exit status 0 to 255; word 1: a
/// [`Cause`] number. Not answered: the supervisor stops the guest's processes.
pub const GUEST_ENDED: u64 = 0x200;
/// Any process: it panicked. Word 0: bytes of text; the text follows eight
/// bytes to a word. The process faults right after.
pub const PANIC: u64 = 0x201;

/// Most bytes of a panic's text.
pub const PANIC_BYTES: usize = 800;

/// Exit status of a guest that crashed.
pub const STATUS_GUEST_CRASHED: u64 = 126;
/// Exit status of a guest whose server or vmm crashed.
pub const STATUS_SERVER_CRASHED: u64 = 127;

/// Why a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Cause {
    /// It asked for it.
    Exit = 0,
    /// Its platform refused to go on (bad hypercall, write to read-only
    /// memory); the message is in the guest's stream.
    Refused = 1,
    /// Triple fault.
    TripleFault = 2,
    /// An instruction or access that this version does not virtualise.
    Unsupported = 3,
}

impl Cause {
    /// The cause with this number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Exit,
            1 => Self::Refused,
            2 => Self::TripleFault,
            3 => Self::Unsupported,
            _ => return None,
        })
    }

    /// The word that control records use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Refused => "refused",
            Self::TripleFault => "triple-fault",
            Self::Unsupported => "unsupported",
        }
    }
}
