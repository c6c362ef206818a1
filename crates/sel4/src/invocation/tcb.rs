//! Threads.

use super::{call, invoke};
use crate::abi::label;
use crate::dialect::{self, CNodeCapData, Priorities};
use crate::{ABI, CPtr, MessageInfo, Result, UserContext, Word, cap, ipc_buffer};

/// A thread's priority and the most it may give to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedParams {
    /// Maximum controlled priority.
    pub mcp: u8,
    /// Priority; 255 is the highest.
    pub priority: u8,
}

/// Everything a new thread needs but its registers.
///
/// A structure where upstream has seven positional arguments, and with the priorities, since 5.0.0
/// sets them in the same invocation.
#[derive(Debug, Clone, Copy)]
pub struct TcbConfiguration {
    /// Where its faults go: a pointer in the *new thread's* CSpace, or [`CPtr::NULL`].
    pub fault_ep: CPtr,
    /// Root of its CSpace.
    pub cspace_root: cap::CNode,
    /// Guard of the root; `None` keeps that of the capability.
    pub cspace_root_data: Option<CNodeCapData>,
    /// Its address space, which has an ASID.
    pub vspace_root: cap::VSpace,
    /// Address in its address space and frame of its IPC buffer; `None` for a thread that makes no
    /// system calls.
    pub ipc_buffer: Option<(usize, cap::Granule)>,
    /// The thread whose maximum controlled priority limits `sched`: most often the caller.
    pub authority: cap::Tcb,
    /// Its priorities.
    pub sched: SchedParams,
}

fn guard_word(data: Option<CNodeCapData>) -> Result<Word> {
    data.map_or(Ok(0), |data| ABI.cap_data.guard(data))
}

impl cap::Tcb {
    /// Sets CSpace, address space, fault endpoint, IPC buffer and priorities. Corresponds to
    /// `seL4_TCB_Configure`, followed by `seL4_TCB_SetSchedParams` from 13.0.0 on.
    ///
    /// # Errors
    ///
    /// * `RangeError`: a priority above the authority's maximum, or a guard that this kernel cannot
    ///   encode.
    /// * `IllegalOperation`: `cspace_root` is no CNode, `vspace_root` no address space with an ASID,
    ///   the guard does not fit, the buffer's frame is device memory, or one is being deleted.
    /// * `AlignmentError`: the IPC buffer is not aligned (512 bytes on 5.0.0, 1024 later).
    pub fn tcb_configure(self, configuration: &TcbConfiguration) -> Result<()> {
        let c = configuration;
        let (buffer, frame) = match c.ipc_buffer {
            Some((address, frame)) => (address as Word, frame.cptr()),
            None => (0, CPtr::NULL),
        };
        let caps = [c.cspace_root.cptr(), c.vspace_root.cptr(), frame];
        let fault_ep = c.fault_ep.bits();
        let guard = guard_word(c.cspace_root_data)?;
        match ABI.priorities {
            Priorities::InConfigure => {
                let priorities = dialect::priority_word(c.sched.mcp, c.sched.priority);
                let args = [fault_ep, priorities, guard, 0, buffer];
                invoke(self.cptr(), label::TCB_CONFIGURE, caps, args).map(drop)
            }
            Priorities::WithAuthority => {
                let args = [fault_ep, guard, 0, buffer];
                invoke(self.cptr(), label::TCB_CONFIGURE, caps, args)?;
                self.tcb_set_sched_params(c.authority, c.sched.mcp, c.sched.priority)
            }
        }
    }

    /// Sets CSpace, address space and fault endpoint. Corresponds to `seL4_TCB_SetSpace`.
    ///
    /// A thread that waits for the reply to a fault goes on in the new spaces.
    ///
    /// # Errors
    ///
    /// As for [`tcb_configure`](Self::tcb_configure).
    pub fn tcb_set_space(
        self,
        fault_ep: CPtr,
        cspace_root: cap::CNode,
        cspace_root_data: Option<CNodeCapData>,
        vspace_root: cap::VSpace,
    ) -> Result<()> {
        let caps = [cspace_root.cptr(), vspace_root.cptr()];
        let args = [fault_ep.bits(), guard_word(cspace_root_data)?, 0];
        invoke(self.cptr(), label::TCB_SET_SPACE, caps, args).map(drop)
    }

    /// Sets or (with `None`) removes the IPC buffer. Corresponds to `seL4_TCB_SetIPCBuffer`.
    ///
    /// # Errors
    ///
    /// `AlignmentError` and `IllegalOperation` as for [`tcb_configure`](Self::tcb_configure).
    pub fn tcb_set_ipc_buffer(self, buffer: Option<(usize, cap::Granule)>) -> Result<()> {
        let (address, frame) = match buffer {
            Some((address, frame)) => (address as Word, frame.cptr()),
            None => (0, CPtr::NULL),
        };
        invoke(self.cptr(), label::TCB_SET_IPC_BUFFER, [frame], [address]).map(drop)
    }

    /// Sets the priority. Corresponds to `seL4_TCB_SetPriority`. On 5.0.0 the caller's maximum
    /// counts instead of the authority's.
    ///
    /// # Errors
    ///
    /// * `RangeError`: above the maximum controlled priority.
    /// * `InvalidCapability`: `authority` is no thread.
    pub fn tcb_set_priority(self, authority: cap::Tcb, priority: u8) -> Result<()> {
        self.set_priority(label::TCB_SET_PRIORITY, authority, priority)
    }

    /// Sets the maximum controlled priority. Corresponds to `seL4_TCB_SetMCPriority`.
    ///
    /// # Errors
    ///
    /// As for [`tcb_set_priority`](Self::tcb_set_priority).
    pub fn tcb_set_mc_priority(self, authority: cap::Tcb, mcp: u8) -> Result<()> {
        self.set_priority(label::TCB_SET_MC_PRIORITY, authority, mcp)
    }

    fn set_priority(self, label: Word, authority: cap::Tcb, value: u8) -> Result<()> {
        match ABI.priorities {
            Priorities::InConfigure => invoke(self.cptr(), label, [], [value.into()]).map(drop),
            Priorities::WithAuthority => {
                invoke(self.cptr(), label, [authority.cptr()], [value.into()]).map(drop)
            }
        }
    }

    /// Sets maximum controlled priority and priority. Corresponds to `seL4_TCB_SetSchedParams`; on
    /// 5.0.0 to its two parts.
    ///
    /// # Errors
    ///
    /// As for [`tcb_set_priority`](Self::tcb_set_priority).
    pub fn tcb_set_sched_params(self, authority: cap::Tcb, mcp: u8, priority: u8) -> Result<()> {
        match label::TCB_SET_SCHED_PARAMS {
            Some(label) => {
                let args = [mcp.into(), priority.into()];
                invoke(self.cptr(), label, [authority.cptr()], args).map(drop)
            }
            None => {
                self.tcb_set_mc_priority(authority, mcp)?;
                self.tcb_set_priority(authority, priority)
            }
        }
    }

    /// Stops the thread. A fault or message it waits for is given up. Corresponds to
    /// `seL4_TCB_Suspend`.
    pub fn tcb_suspend(self) -> Result<()> {
        invoke(self.cptr(), label::TCB_SUSPEND, [], []).map(drop)
    }

    /// Lets a stopped thread run. Corresponds to `seL4_TCB_Resume`.
    pub fn tcb_resume(self) -> Result<()> {
        invoke(self.cptr(), label::TCB_RESUME, [], []).map(drop)
    }

    /// Lets signals of `notification` interrupt the thread's waiting on an endpoint. Corresponds to
    /// `seL4_TCB_BindNotification`.
    ///
    /// # Errors
    ///
    /// `IllegalOperation`: the thread has a notification already, or the notification is bound, has
    /// waiters, or its capability lacks the read right.
    pub fn tcb_bind_notification(self, notification: cap::Notification) -> Result<()> {
        invoke(self.cptr(), label::TCB_BIND_NOTIFICATION, [notification.cptr()], []).map(drop)
    }

    /// Undoes [`tcb_bind_notification`](Self::tcb_bind_notification). Corresponds to
    /// `seL4_TCB_UnbindNotification`.
    ///
    /// # Errors
    ///
    /// `IllegalOperation`: no notification is bound.
    pub fn tcb_unbind_notification(self) -> Result<()> {
        invoke(self.cptr(), label::TCB_UNBIND_NOTIFICATION, [], []).map(drop)
    }

    /// Reads the first `count` registers into `context` and leaves the rest of it. Corresponds to
    /// `seL4_TCB_ReadRegisters`.
    ///
    /// With `suspend` the thread is stopped first. Without, it is read wherever it is.
    ///
    /// # Errors
    ///
    /// * `RangeError`: `count` is 0 or above [`UserContext::WORDS`].
    /// * `IllegalOperation`: the thread is the caller itself.
    #[inline]
    pub fn tcb_read_registers_into(
        self,
        suspend: bool,
        count: usize,
        context: &mut UserContext,
    ) -> Result<()> {
        match context.words_mut().get_mut(..count) {
            Some(words) => self.tcb_read_words(suspend, words),
            None => Err(crate::Error::RangeError),
        }
    }

    /// Reads as many registers as `words` takes, in the order of [`UserContext`].
    ///
    /// # Errors
    ///
    /// As for [`tcb_read_registers_into`](Self::tcb_read_registers_into).
    #[inline]
    pub fn tcb_read_words(self, suspend: bool, words: &mut [Word]) -> Result<()> {
        let args = [suspend.into(), words.len() as Word];
        let fast = invoke(self.cptr(), label::TCB_READ_REGISTERS, [], args)?;
        for (word, register) in words.iter_mut().zip(fast) {
            *word = register;
        }
        let rest = words.get_mut(fast.len()..).unwrap_or_default();
        ipc_buffer().copy_msg_regs(fast.len(), rest);
        Ok(())
    }

    /// Reads the first `count` registers; the others are 0.
    ///
    /// # Errors
    ///
    /// As for [`tcb_read_registers_into`](Self::tcb_read_registers_into).
    pub fn tcb_read_registers(self, suspend: bool, count: usize) -> Result<UserContext> {
        let mut context = UserContext::default();
        self.tcb_read_registers_into(suspend, count, &mut context)?;
        Ok(context)
    }

    /// Reads every register this kernel has.
    ///
    /// # Errors
    ///
    /// As for [`tcb_read_registers_into`](Self::tcb_read_registers_into).
    pub fn tcb_read_all_registers(self, suspend: bool) -> Result<UserContext> {
        self.tcb_read_registers(suspend, UserContext::WORDS)
    }

    /// Writes the first `count` registers (at most [`UserContext::WORDS`]; more is cut). Corresponds
    /// to `seL4_TCB_WriteRegisters`.
    ///
    /// With `resume` the thread runs afterwards, and a fault it waits on is forgotten: no reply is
    /// needed. Every register is then exact, whatever the thread was doing.
    ///
    /// # Errors
    ///
    /// `IllegalOperation`: the thread is the caller itself.
    #[inline]
    pub fn tcb_write_registers(
        self,
        resume: bool,
        count: usize,
        context: &UserContext,
    ) -> Result<()> {
        let words = context.words();
        self.tcb_write_words(resume, words.get(..count).unwrap_or(words))
    }

    /// Writes as many registers as `words` has (at most [`UserContext::WORDS`]; more is cut), in
    /// the order of [`UserContext`].
    ///
    /// # Errors
    ///
    /// As for [`tcb_write_registers`](Self::tcb_write_registers).
    #[inline]
    pub fn tcb_write_words(self, resume: bool, words: &[Word]) -> Result<()> {
        let words = words.get(..UserContext::WORDS).unwrap_or(words);
        let count = words.len();
        let word = |index| words.get(index).copied().unwrap_or_default();
        let mrs = [resume.into(), count as Word, word(0), word(1)];
        let rest = words.get(2..).unwrap_or_default();
        let registers = ipc_buffer().msg_regs().get(mrs.len()..).unwrap_or_default();
        for (register, word) in registers.iter().zip(rest) {
            register.set(*word);
        }
        let label = label::TCB_WRITE_REGISTERS;
        call(self.cptr(), label, MessageInfo::new(label, 0, 0, 2 + count), mrs).map(drop)
    }

    /// Writes every register this kernel has.
    ///
    /// # Errors
    ///
    /// As for [`tcb_write_registers`](Self::tcb_write_registers).
    pub fn tcb_write_all_registers(self, resume: bool, context: &UserContext) -> Result<()> {
        self.tcb_write_registers(resume, UserContext::WORDS, context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{one, record};
    use super::*;

    const TCB: cap::Tcb = cap::Tcb::from_bits(90);
    const SELF: cap::Tcb = cap::Tcb::from_bits(1);

    fn configuration() -> TcbConfiguration {
        TcbConfiguration {
            fault_ep: CPtr::from_bits(1),
            cspace_root: cap::CNode::from_bits(20),
            cspace_root_data: Some(CNodeCapData::skip(60)),
            vspace_root: cap::VSpace::from_bits(21),
            ipc_buffer: Some((0x7000, cap::Granule::from_bits(22))),
            authority: SELF,
            sched: SchedParams { mcp: 200, priority: 100 },
        }
    }

    #[test]
    fn configure_in_both_shapes() {
        let guard = ABI.cap_data.guard(CNodeCapData::skip(60)).unwrap();
        let (result, seen) = record([0; 4], || TCB.tcb_configure(&configuration()));
        assert_eq!(result, Ok(()));
        assert_eq!((seen[0].service, seen[0].label), (90, label::TCB_CONFIGURE));
        assert_eq!(seen[0].caps, [20, 21, 22]);
        match ABI.priorities {
            Priorities::InConfigure => {
                assert_eq!(seen[0].args, [1, 200 << 8 | 100, guard, 0, 0x7000]);
                assert_eq!(seen.len(), 1);
            }
            Priorities::WithAuthority => {
                assert_eq!(seen[0].args, [1, guard, 0, 0x7000]);
                assert_eq!(Some(seen[1].label), label::TCB_SET_SCHED_PARAMS);
                assert_eq!(
                    (seen[1].caps.as_slice(), seen[1].args.as_slice()),
                    (&[1][..], &[200, 100][..])
                );
            }
        }
    }

    #[test]
    fn no_buffer_is_address_zero() {
        let seen = one(|| TCB.tcb_set_ipc_buffer(None));
        assert_eq!((seen.caps, seen.args), (vec![0], vec![0]));
    }

    #[test]
    fn priorities_name_an_authority_where_the_kernel_wants_one() {
        let seen = one(|| TCB.tcb_set_priority(SELF, 7));
        assert_eq!((seen.label, seen.args), (label::TCB_SET_PRIORITY, vec![7]));
        let expected: &[Word] = match ABI.priorities {
            Priorities::InConfigure => &[],
            Priorities::WithAuthority => &[1],
        };
        assert_eq!(seen.caps, expected);
    }

    #[test]
    fn reading_some_registers_leaves_the_others() {
        ipc_buffer().msg_regs()[4].set(0xaaaa);
        ipc_buffer().msg_regs()[5].set(0xbbbb);
        for (count, rax, rbx, rcx) in
            [(3, 1, 1, 1), (4, 4, 1, 1), (5, 4, 0xaaaa, 1), (6, 4, 0xaaaa, 0xbbbb)]
        {
            let mut context = UserContext { rax: 1, rbx: 1, rcx: 1, ..Default::default() };
            let (result, seen) =
                record([10, 11, 12, 4], || TCB.tcb_read_registers_into(true, count, &mut context));
            assert_eq!(result, Ok(()));
            assert_eq!(seen[0].args, [1, count as Word]);
            assert_eq!((context.rip, context.rsp, context.rflags), (10, 11, 12));
            assert_eq!((context.rax, context.rbx, context.rcx), (rax, rbx, rcx), "{count}");
        }
    }

    #[test]
    fn writing_some_registers() {
        let mut context = UserContext::default();
        for (index, word) in context.words_mut().iter_mut().enumerate() {
            *word = index as Word + 1;
        }
        for count in [1, 2, 3, 9, UserContext::WORDS] {
            let seen = one(|| TCB.tcb_write_registers(true, count, &context));
            assert_eq!(seen.args[..2], [1, count as Word]);
            assert_eq!(seen.args[2..], context.words()[..count]);
        }
        // A count beyond the context is cut: the kernel would take the rest from stale registers.
        let seen = one(|| TCB.tcb_write_registers(false, 100, &context));
        assert_eq!(
            (seen.args[1], seen.args.len()),
            (UserContext::WORDS as Word, 2 + UserContext::WORDS)
        );
    }
}
