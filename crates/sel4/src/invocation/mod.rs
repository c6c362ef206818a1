//! Methods of kernel objects.
//!
//! Every method is one Call on the object's capability: a label, up to three capabilities, argument
//! words. Each method's documentation lists what must hold before and every error with its cause;
//! two causes hold for all and are not repeated: [`Error::InvalidCapability`] if the pointer of the
//! invoked capability leads nowhere or to another kind of object (with 5.0.0 also
//! [`Error::IllegalOperation`] for the latter), and [`Error::TruncatedMessage`], which these methods
//! cannot cause.

mod asid;
mod cnode;
mod frame;
mod io_port;
mod irq;
mod paging;
mod tcb;
mod untyped;

pub use irq::{Polarity, TriggerMode};
pub use tcb::{SchedParams, TcbConfiguration};

use crate::abi::syscall as number;
use crate::syscall::{Registers, system_call};
use crate::{CPtr, Error, MessageInfo, NUM_FAST_MESSAGE_REGISTERS, Result, Word, ipc_buffer};

/// Invokes `service` with capabilities and arguments; gives message registers 0–3 of the reply.
///
/// Kernels before 13.0.0 lose the message length on some results, so it is not looked at.
#[inline]
fn invoke<const CAPS: usize, const ARGS: usize>(
    service: CPtr,
    label: Word,
    caps: [CPtr; CAPS],
    args: [Word; ARGS],
) -> Result<[Word; NUM_FAST_MESSAGE_REGISTERS]> {
    const { assert!(CAPS <= 3 && ARGS <= crate::NUM_MESSAGE_REGISTERS) };
    let mut mrs = [0; NUM_FAST_MESSAGE_REGISTERS];
    for (register, arg) in mrs.iter_mut().zip(args) {
        *register = arg;
    }
    for (register, cap) in ipc_buffer().caps_or_badges().iter().zip(caps) {
        register.set(cap.bits());
    }
    let rest = args.get(NUM_FAST_MESSAGE_REGISTERS..).unwrap_or_default();
    let registers = &ipc_buffer().msg_regs()[NUM_FAST_MESSAGE_REGISTERS..];
    for (register, arg) in registers.iter().zip(rest) {
        register.set(*arg);
    }
    call(service, label, MessageInfo::new(label, 0, CAPS, ARGS), mrs)
}

/// Makes the call of an invocation whose further registers are in the IPC buffer.
#[inline(always)]
fn call(
    service: CPtr,
    label: Word,
    info: MessageInfo,
    mrs: [Word; NUM_FAST_MESSAGE_REGISTERS],
) -> Result<[Word; NUM_FAST_MESSAGE_REGISTERS]> {
    let request = Registers { rdi: service.bits(), rsi: info.into_word(), mrs };
    let reply = system_call(number::CALL, request);
    Error::from_reply(label, MessageInfo::from_word(reply.rsi).label())?;
    Ok(reply.mrs)
}

/// What tests of the methods look at: the invocation as the kernel would see it.
#[cfg(test)]
mod recorder {
    use std::cell::RefCell;
    use std::rc::Rc;

    use crate::syscall::{Registers, host};
    use crate::{MessageInfo, Word, ipc_buffer};

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct Seen {
        pub(super) service: Word,
        pub(super) label: Word,
        pub(super) caps: Vec<Word>,
        pub(super) args: Vec<Word>,
    }

    /// Runs `act`, answering every invocation with success and `mrs`; returns what was seen.
    pub(super) fn record<T>(mrs: [Word; 4], act: impl FnOnce() -> T) -> (T, Vec<Seen>) {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        host::set_kernel(move |number, input| {
            assert_eq!(number, -1, "invocations are calls");
            log.borrow_mut().push(decode(input));
            Registers { rdi: 0, rsi: 0, mrs }
        });
        let result = act();
        let seen = seen.borrow().clone();
        (result, seen)
    }

    /// The only invocation of `act`.
    pub(super) fn one<T>(act: impl FnOnce() -> crate::Result<T>) -> Seen {
        let (result, mut seen) = record([0; 4], act);
        assert!(result.is_ok());
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }

    fn decode(input: Registers) -> Seen {
        let info = MessageInfo::from_word(input.rsi);
        let buffer = ipc_buffer();
        let rest = buffer.msg_regs().iter().skip(4).map(core::cell::Cell::get);
        Seen {
            service: input.rdi,
            label: info.label(),
            caps: buffer.caps_or_badges()[..info.extra_caps()].iter().map(|c| c.get()).collect(),
            args: input.mrs.into_iter().chain(rest).take(info.length()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::host::set_kernel;

    #[test]
    fn errors_come_from_the_label() {
        set_kernel(|_, input| Registers { rsi: MessageInfo::new(8, 0, 0, 0).into_word(), ..input });
        assert_eq!(invoke(CPtr::from_bits(1), 40, [], []), Err(Error::DeleteFirst));
    }
}
