//! Fault messages and the replies to them.
//!
//! A faulting thread's message arrives on its fault endpoint with a label that names the kind. What
//! is in it comes from the thread, so it is the word of a guest: nothing here indexes or allocates
//! by it. (On a stock kernel a thread that holds its fault endpoint can even forge the whole
//! message; Umbriel's kernel edit E8 ends that.)
//!
//! A reply with label 0 resumes the thread. A VM fault is retried, whatever the reply. A
//! UserException takes RIP, RSP and RFLAGS from a reply of three words, an UnknownSyscall its
//! registers from a reply of 18; with a shorter reply what is missing stays.
//!
//! Umbriel's kernel edit E11 gives more for threads without an IPC buffer: a VM fault tells RSP and
//! RFLAGS, it and an exception RAX to R15 ([`general_registers`]), an UnknownSyscall FS and GS base
//! ([`bases`]), and a reply to any sets up to [`REPLY_REGISTERS`] registers or, with the bases,
//! [`ALL_REGISTERS`]. Messages show by their length whether the kernel does that.

use core::cell::Cell;

use crate::{IpcBuffer, MessageInfo, NUM_FAST_MESSAGE_REGISTERS, RecvWithMRs, Word};

/// Labels of fault messages without MCS; equal in all releases that the crate serves.
mod label {
    pub(super) const NULL: u64 = 0;
    pub(super) const CAP: u64 = 1;
    pub(super) const UNKNOWN_SYSCALL: u64 = 2;
    pub(super) const USER_EXCEPTION: u64 = 3;
    pub(super) const VM: u64 = 5;
}

/// A fault message. Corresponds to `seL4_Fault_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    NullFault,
    /// A capability lookup of a system call failed.
    CapFault(CapFault),
    /// A `syscall` that is none of the kernel's, or an interrupt instruction of vector 0x9e–0xfe.
    UnknownSyscall(UnknownSyscall),
    /// A processor exception other than a page fault.
    UserException(UserException),
    /// A page fault.
    VmFault(VmFault),
}

/// A failed capability lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapFault {
    /// Address of the instruction.
    pub ip: Word,
    /// The capability pointer.
    pub addr: Word,
    /// Whether it was the receive part of a call.
    pub in_recv_phase: bool,
    /// Kind of lookup failure.
    pub lookup_failure_type: Word,
}

/// A page fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmFault {
    /// Address of the instruction.
    pub ip: Word,
    /// The address that faulted, 64 bits wide (stock 5.0.0 cuts it to 32).
    pub addr: Word,
    /// The processor's error code: bit 0 present, 1 write, 2 user (always), 3 reserved bit,
    /// 4 instruction fetch (only where the kernel enables SMEP; else an instruction fetch is a
    /// fault with `addr == ip`).
    pub fsr: Word,
    /// RSP and RFLAGS, if the kernel tells them.
    pub sp_and_flags: Option<[Word; 2]>,
}

/// General registers in the message of a fault: RAX RBX RCX RDX RSI RDI RBP R8 to R15, as in
/// [`UserContext`](crate::UserContext).
pub const GENERAL_REGISTERS: usize = 15;

/// Registers that a reply sets at most: RIP, RSP, RFLAGS and the general ones.
pub const REPLY_REGISTERS: usize = 3 + GENERAL_REGISTERS;

/// Registers that a reply sets with the bases, which are its last two words.
pub const ALL_REGISTERS: usize = REPLY_REGISTERS + 2;

/// FS and GS base in the message of an unknown system call, if it has them. They stay until the
/// next invocation.
#[inline]
pub fn bases(message: &RecvWithMRs, buffer: IpcBuffer) -> Option<[Word; 2]> {
    let words = buffer.msg_regs().get(UnknownSyscall::WORDS..)?.first_chunk::<2>()?;
    let carried = message.info.label() == label::UNKNOWN_SYSCALL
        && message.info.length() >= UnknownSyscall::WORDS + words.len();
    carried.then(|| [words[0].get(), words[1].get()])
}

/// Words of a VM fault's message before the general registers.
const VM_FAULT: usize = 6;

/// Words of an exception's message before the general registers.
const EXCEPTION: usize = 5;

/// The general registers in the message of an exception or a VM fault, if it has them. They stay
/// until the next invocation.
#[inline]
pub fn general_registers(
    message: &RecvWithMRs,
    buffer: IpcBuffer,
) -> Option<&'static [Cell<Word>; GENERAL_REGISTERS]> {
    let first = match message.info.label() {
        label::USER_EXCEPTION => EXCEPTION,
        label::VM => VM_FAULT,
        _ => return None,
    };
    let carried = message.info.length() >= first + GENERAL_REGISTERS;
    let registers = buffer.msg_regs().get(first..)?.first_chunk()?;
    carried.then_some(registers)
}

/// A processor exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserException {
    /// RIP: at the instruction for faults, behind it for traps.
    pub ip: Word,
    /// RSP.
    pub sp: Word,
    /// RFLAGS.
    pub flags: Word,
    /// The vector.
    pub number: Word,
    /// The error code, 0 where the vector has none.
    pub code: Word,
}

impl UserException {
    /// A reply that sets RIP, RSP and RFLAGS as they are in `self` and resumes the thread.
    #[inline]
    pub const fn reply(&self) -> (MessageInfo, [Word; 3]) {
        (MessageInfo::new(0, 0, 0, 3), [self.ip, self.sp, self.flags])
    }
}

/// A system call that the kernel does not know, with the thread's registers.
///
/// RIP stands *at* the instruction: advance it by two before replying with registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "each field is the register it names")]
pub struct UnknownSyscall {
    pub rax: Word,
    pub rbx: Word,
    pub rcx: Word,
    pub rdx: Word,
    pub rsi: Word,
    pub rdi: Word,
    pub rbp: Word,
    pub r8: Word,
    pub r9: Word,
    pub r10: Word,
    pub r11: Word,
    pub r12: Word,
    pub r13: Word,
    pub r14: Word,
    pub r15: Word,
    pub rip: Word,
    pub rsp: Word,
    pub rflags: Word,
    /// The number: RDX of a `syscall`; of `int n` the sign-extended `n << 24 | eax & 0xff_ffff`.
    pub syscall: Word,
}

impl UnknownSyscall {
    /// Words in the message.
    pub const WORDS: usize = 19;
    /// Words that a reply may set: all but the number.
    pub const REPLY_WORDS: usize = 18;

    /// Decodes the words of the message.
    pub const fn from_words(words: &[Word; Self::WORDS]) -> Self {
        let [
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rsp,
            rflags,
            syscall,
        ] = *words;
        Self {
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rsp,
            rflags,
            syscall,
        }
    }

    /// The words of the message.
    pub const fn into_words(self) -> [Word; Self::WORDS] {
        let Self {
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rsp,
            rflags,
            syscall,
        } = self;
        [
            rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rsp,
            rflags, syscall,
        ]
    }

    /// Stages a reply that sets every register and resumes the thread: words 4 and up go into the
    /// buffer, the rest into what the caller passes to
    /// [`reply_recv_with_mrs`](crate::cap::Endpoint::reply_recv_with_mrs).
    pub fn stage_reply(&self, buffer: IpcBuffer) -> (MessageInfo, [Word; 4]) {
        const SLOW: usize = UnknownSyscall::REPLY_WORDS - NUM_FAST_MESSAGE_REGISTERS;
        let [first, second, third, fourth, rest @ .., _] = self.into_words();
        let rest: [Word; SLOW] = rest;
        // An array of known length, so that the copy becomes moves: this is on
        // the way of every system call of a guest.
        let (_, registers) = buffer.msg_regs().split_at(NUM_FAST_MESSAGE_REGISTERS);
        if let Some(registers) = registers.first_chunk::<SLOW>() {
            for (register, word) in registers.iter().zip(rest) {
                register.set(word);
            }
        }
        (MessageInfo::new(0, 0, 0, Self::REPLY_WORDS), [first, second, third, fourth])
    }
}

/// The reply that resumes a thread with its registers as they are; retries a VM fault.
pub const fn resume() -> MessageInfo {
    MessageInfo::new(0, 0, 0, 0)
}

impl Fault {
    /// Decodes a received message; registers 4 and up come from `buffer`, so decode before the
    /// next invocation. `None` if the label is that of no fault.
    #[inline]
    pub fn decode(message: &RecvWithMRs, buffer: IpcBuffer) -> Option<Self> {
        let [first, second, third, fourth] = message.msg;
        Some(match message.info.label() {
            label::NULL => Self::NullFault,
            label::VM => Self::VmFault(VmFault {
                ip: first,
                addr: second,
                fsr: fourth,
                sp_and_flags: (message.info.length() >= VM_FAULT).then(|| {
                    let registers = buffer.msg_regs();
                    [registers[4].get(), registers[5].get()]
                }),
            }),
            label::CAP => Self::CapFault(CapFault {
                ip: first,
                addr: second,
                in_recv_phase: third != 0,
                lookup_failure_type: fourth,
            }),
            label::USER_EXCEPTION => {
                let code = buffer.msg_regs()[NUM_FAST_MESSAGE_REGISTERS].get();
                Self::UserException(UserException {
                    ip: first,
                    sp: second,
                    flags: third,
                    number: fourth,
                    code,
                })
            }
            label::UNKNOWN_SYSCALL => {
                let mut words = [0; UnknownSyscall::WORDS];
                let (fast, rest) = words.split_at_mut(NUM_FAST_MESSAGE_REGISTERS);
                fast.copy_from_slice(&message.msg);
                buffer.copy_msg_regs(NUM_FAST_MESSAGE_REGISTERS, rest);
                Self::UnknownSyscall(UnknownSyscall::from_words(&words))
            }
            _ => return None,
        })
    }

    /// Decodes a message whose registers are all in the buffer, as plain `recv` leaves them.
    /// Upstream's name and shape.
    pub fn new(buffer: IpcBuffer, info: MessageInfo) -> Option<Self> {
        let mut msg = [0; NUM_FAST_MESSAGE_REGISTERS];
        buffer.copy_msg_regs(0, &mut msg);
        Self::decode(&RecvWithMRs { info, badge: 0, msg }, buffer)
    }

    /// Address of the faulting instruction.
    pub const fn ip(&self) -> Option<Word> {
        match self {
            Self::NullFault => None,
            Self::CapFault(fault) => Some(fault.ip),
            Self::UnknownSyscall(fault) => Some(fault.rip),
            Self::UserException(fault) => Some(fault.ip),
            Self::VmFault(fault) => Some(fault.ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc_buffer;

    #[test]
    fn general_registers_of_exceptions() {
        let seen = |label, length| {
            general_registers(&message(label, length), ipc_buffer())
                .map(|registers| (registers[0].get(), registers[14].get()))
        };
        assert_eq!(seen(3, 20), Some((105, 119)));
        assert_eq!(seen(5, 21), Some((106, 120)));
        assert_eq!((seen(3, 5), seen(5, 6)), (None, None));
        assert_eq!(seen(2, 20), None);
    }

    fn message(label: Word, length: usize) -> RecvWithMRs {
        for (index, register) in ipc_buffer().msg_regs().iter().enumerate() {
            register.set(index as Word + 100);
        }
        RecvWithMRs { info: MessageInfo::new(label, 0, 0, length), badge: 1, msg: [1, 2, 3, 4] }
    }

    #[test]
    fn each_kind() {
        let decode = |label, length| Fault::decode(&message(label, length), ipc_buffer());
        assert_eq!(
            decode(5, 4),
            Some(Fault::VmFault(VmFault { ip: 1, addr: 2, fsr: 4, sp_and_flags: None }))
        );
        let Some(Fault::VmFault(long)) = decode(5, 6) else {
            panic!("a VM fault");
        };
        assert_eq!(long.sp_and_flags, Some([104, 105]));
        assert_eq!(
            decode(3, 5),
            Some(Fault::UserException(UserException {
                ip: 1,
                sp: 2,
                flags: 3,
                number: 4,
                code: 104
            }))
        );
        let Some(Fault::UnknownSyscall(call)) = decode(2, 19) else { panic!("another kind") };
        assert_eq!((call.rax, call.rdx, call.rsi, call.rip), (1, 4, 104, 115));
        assert_eq!((call.rflags, call.syscall), (117, 118));
        let Some(Fault::CapFault(fault)) = decode(1, 7) else { panic!("another kind") };
        assert_eq!((fault.ip, fault.addr, fault.in_recv_phase), (1, 2, true));
        assert_eq!(decode(4, 4), None);
        assert_eq!(decode(99, 4), None);
    }

    #[test]
    fn replies() {
        let call = UnknownSyscall {
            rax: 7,
            rsi: 5,
            rip: 0x402,
            rflags: 0x202,
            syscall: 9,
            ..Default::default()
        };
        ipc_buffer().msg_regs()[18].set(0x55);
        let (info, first) = call.stage_reply(ipc_buffer());
        assert_eq!((info.label(), info.length(), first), (0, 18, [7, 0, 0, 0]));
        let registers = ipc_buffer().msg_regs();
        assert_eq!(
            (registers[4].get(), registers[15].get(), registers[17].get()),
            (5, 0x402, 0x202)
        );
        assert_eq!(registers[18].get(), 0x55, "the number is not part of a reply");
        let exception = UserException { ip: 1, sp: 2, flags: 3, number: 13, code: 0 };
        assert_eq!(exception.reply().1, [1, 2, 3]);
    }
}
