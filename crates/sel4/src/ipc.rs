//! Sending and receiving messages and signals.
//!
//! Methods ending in `_with_mrs` keep message registers 0–3 in machine registers and do not touch
//! the IPC buffer: the path for servers. The others take and leave all registers in the buffer.
//!
//! A notification bound to the receiving thread may arrive in place of a message. Then only the
//! badge means something: message information and registers are what the receiver passed in.

use crate::abi::syscall as number;
use crate::syscall::{Registers, system_call};
use crate::{Badge, CPtr, MessageInfo, NUM_FAST_MESSAGE_REGISTERS, Word, cap, ipc_buffer};

/// Message registers 0–3.
type FastRegisters = [Word; NUM_FAST_MESSAGE_REGISTERS];

/// Up to four message registers: arrays of 0 to 4 words.
pub trait FastMessages {
    /// The registers, zeros behind those given.
    fn into_registers(self) -> FastRegisters;
}

macro_rules! fast_messages {
    ($($length:literal: $($word:ident)*;)*) => {$(
        impl FastMessages for [Word; $length] {
            #[inline(always)]
            fn into_registers(self) -> FastRegisters {
                let [$($word),*] = self;
                #[allow(unused_mut)]
                let mut registers = FastRegisters::default();
                for (register, word) in registers.iter_mut().zip([$($word),*]) {
                    let word: Word = word;
                    *register = word;
                }
                registers
            }
        }
    )*};
}

fast_messages! {
    0: ;
    1: a;
    2: a b;
    3: a b c;
    4: a b c d;
}

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvWithMRs {
    /// Label and length.
    pub info: MessageInfo,
    /// Badge of the capability that was used to send.
    pub badge: Badge,
    /// Message registers 0–3. Those at and beyond the length are stale.
    pub msg: FastRegisters,
}

/// A reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallWithMRs {
    /// Label and length.
    pub info: MessageInfo,
    /// Message registers 0–3. Those at and beyond the length are stale.
    pub msg: FastRegisters,
}

impl cap::Endpoint {
    /// Sends and waits until it is received. Without the write right nothing happens.
    pub fn send(self, info: MessageInfo) {
        self.send_with_mrs(info, load());
    }

    /// Sends if a receiver waits; otherwise the message is lost.
    pub fn nb_send(self, info: MessageInfo) {
        self.nb_send_with_mrs(info, load());
    }

    /// Sends and waits for the reply. The reply's label is the server's; without the write or
    /// grant right the kernel may answer with a label of [`Error`](crate::Error)'s numbers.
    pub fn call(self, info: MessageInfo) -> MessageInfo {
        let reply = self.call_with_mrs(info, load());
        store(reply.msg);
        reply.info
    }

    /// Waits for a message.
    ///
    /// Without the read right the thread faults with a CapFault.
    pub fn recv(self) -> (MessageInfo, Badge) {
        stored(self.recv_with_mrs())
    }

    /// Takes a message if a sender waits; otherwise the badge is 0.
    pub fn nb_recv(self) -> (MessageInfo, Badge) {
        stored(self.nb_recv_with_mrs())
    }

    /// Replies to the last caller and waits for the next message.
    pub fn reply_recv(self, info: MessageInfo) -> (MessageInfo, Badge) {
        stored(self.reply_recv_with_mrs(info, load()))
    }

    /// [`send`](Self::send) with the first message registers given.
    #[inline]
    pub fn send_with_mrs(self, info: MessageInfo, msg: impl FastMessages) {
        system_call(number::SEND, registers(self.cptr(), info, msg));
    }

    /// [`nb_send`](Self::nb_send) with the first message registers given.
    #[inline]
    pub fn nb_send_with_mrs(self, info: MessageInfo, msg: impl FastMessages) {
        system_call(number::NB_SEND, registers(self.cptr(), info, msg));
    }

    /// [`call`](Self::call) with the first message registers given and returned.
    #[inline]
    pub fn call_with_mrs(self, info: MessageInfo, msg: impl FastMessages) -> CallWithMRs {
        let out = system_call(number::CALL, registers(self.cptr(), info, msg));
        CallWithMRs { info: MessageInfo::from_word(out.rsi), msg: out.mrs }
    }

    /// [`recv`](Self::recv) with the first message registers returned.
    #[inline]
    pub fn recv_with_mrs(self) -> RecvWithMRs {
        receive(number::RECV, registers(self.cptr(), MessageInfo::default(), []))
    }

    /// [`nb_recv`](Self::nb_recv) with the first message registers returned.
    #[inline]
    pub fn nb_recv_with_mrs(self) -> RecvWithMRs {
        receive(number::NB_RECV, registers(self.cptr(), MessageInfo::default(), []))
    }

    /// [`reply_recv`](Self::reply_recv) with the first message registers given and returned.
    ///
    /// Without a caller to reply to, only the receive happens.
    #[inline]
    pub fn reply_recv_with_mrs(self, info: MessageInfo, msg: impl FastMessages) -> RecvWithMRs {
        receive(number::REPLY_RECV, registers(self.cptr(), info, msg))
    }
}

impl cap::Notification {
    /// Adds the capability's badge to the word and wakes a waiter. Never blocks.
    #[inline]
    pub fn signal(self) {
        system_call(number::SEND, registers(self.cptr(), MessageInfo::default(), []));
    }

    /// Waits until the word is not zero, takes it and clears it.
    #[inline]
    pub fn wait(self) -> Badge {
        receive(number::RECV, registers(self.cptr(), MessageInfo::default(), [])).badge
    }

    /// Takes the word and clears it; 0 if nothing was signalled.
    #[inline]
    pub fn poll(self) -> Badge {
        receive(number::NB_RECV, registers(self.cptr(), MessageInfo::default(), [])).badge
    }
}

/// Replies to the last caller, message registers from the IPC buffer. Without one, nothing happens.
pub fn reply(info: MessageInfo) {
    reply_with_mrs(info, load());
}

/// [`reply`] with the first message registers given.
#[inline]
pub fn reply_with_mrs(info: MessageInfo, msg: impl FastMessages) {
    system_call(number::REPLY, registers(CPtr::NULL, info, msg));
}

/// Gives up the rest of the time slice.
#[inline]
pub fn r#yield() {
    system_call(number::YIELD, Registers::default());
}

#[inline(always)]
fn registers(cptr: CPtr, info: MessageInfo, msg: impl FastMessages) -> Registers {
    Registers { rdi: cptr.bits(), rsi: info.into_word(), mrs: msg.into_registers() }
}

#[inline(always)]
fn receive(call: i64, registers: Registers) -> RecvWithMRs {
    let out = system_call(call, registers);
    RecvWithMRs { info: MessageInfo::from_word(out.rsi), badge: out.rdi, msg: out.mrs }
}

fn load() -> FastRegisters {
    let mut msg = FastRegisters::default();
    ipc_buffer().copy_msg_regs(0, &mut msg);
    msg
}

fn store(msg: FastRegisters) {
    for (register, word) in ipc_buffer().msg_regs().iter().zip(msg) {
        register.set(word);
    }
}

fn stored(message: RecvWithMRs) -> (MessageInfo, Badge) {
    store(message.msg);
    (message.info, message.badge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::host::set_kernel;

    const ENDPOINT: cap::Endpoint = cap::Endpoint::from_bits(0x77);

    #[test]
    fn a_call_with_registers_leaves_the_buffer_alone() {
        ipc_buffer().msg_regs()[0].set(0xdead);
        set_kernel(|number, input| {
            assert_eq!((number, input.rdi, input.mrs), (-1, 0x77, [1, 2, 0, 0]));
            assert_eq!(input.rsi, MessageInfo::new(9, 0, 0, 2).into_word());
            Registers { rdi: 0, rsi: MessageInfo::new(4, 0, 0, 1).into_word(), mrs: [8, 0, 0, 0] }
        });
        let reply = ENDPOINT.call_with_mrs(MessageInfo::new(9, 0, 0, 2), [1, 2]);
        assert_eq!((reply.info.label(), reply.msg[0]), (4, 8));
        assert_eq!(ipc_buffer().msg_regs()[0].get(), 0xdead);
    }

    #[test]
    fn plain_calls_go_through_the_buffer() {
        for (index, register) in ipc_buffer().msg_regs().iter().enumerate() {
            register.set(index as Word + 10);
        }
        set_kernel(|number, input| {
            assert_eq!((number, input.mrs), (-2, [10, 11, 12, 13]));
            Registers { rdi: 5, rsi: MessageInfo::new(1, 0, 0, 6).into_word(), mrs: [1, 2, 3, 4] }
        });
        let (info, badge) = ENDPOINT.reply_recv(MessageInfo::new(0, 0, 0, 6));
        assert_eq!((info.length(), badge), (6, 5));
        let registers: Vec<Word> =
            ipc_buffer().msg_regs()[..6].iter().map(core::cell::Cell::get).collect();
        assert_eq!(registers, [1, 2, 3, 4, 14, 15]);
    }

    #[test]
    fn signals_and_numbers() {
        for (expected, act) in [
            (-3, Box::new(|| cap::Notification::from_bits(3).signal()) as Box<dyn Fn()>),
            (-5, Box::new(|| assert_eq!(cap::Notification::from_bits(3).wait(), 3))),
            (-8, Box::new(|| assert_eq!(cap::Notification::from_bits(3).poll(), 3))),
            (-4, Box::new(|| ENDPOINT.nb_send(MessageInfo::default()))),
            (-6, Box::new(|| reply(MessageInfo::default()))),
            (-7, Box::new(r#yield)),
        ] {
            set_kernel(move |number, input| {
                assert_eq!(number, expected);
                input
            });
            act();
        }
    }
}
