//! A thread under observation.
//!
//! Subjects share the root task's address space and CSpace and run below its
//! priority. One runs at a time (unless a probe says otherwise): it is started
//! with given registers and runs until it faults.

use sel4::fault::UserException;
use sel4::{
    CPtr, Fault, MessageInfo, ObjectBlueprint, RecvWithMRs, SchedParams, TcbConfiguration,
    UserContext, cap, init_thread, ipc_buffer,
};

use crate::bare::lab::Lab;
use crate::bare::verdict::Text;
use crate::text;

/// User flags with nothing but the interrupt flag and the fixed bit set.
pub const PLAIN_FLAGS: u64 = 0x202;

/// Exception number of `ud2`.
const INVALID_OPCODE: u64 = 6;

/// A thread and where its faults go.
#[derive(Clone, Copy)]
pub struct Subject {
    /// The thread.
    pub tcb: cap::Tcb,
    faults: cap::Endpoint,
}

impl Subject {
    /// Makes a thread that has an IPC buffer, as native threads do.
    pub fn native(lab: &mut Lab) -> Subject {
        let frame: cap::Granule = lab.make(ObjectBlueprint::_4k);
        let address = lab.map(frame);
        let tcb = lab.make(ObjectBlueprint::Tcb);
        Subject::configured(lab, tcb, Some((address, frame)))
    }

    /// Makes a thread without an IPC buffer, as guests' are.
    pub fn guest(lab: &mut Lab) -> Subject {
        let tcb = lab.make(ObjectBlueprint::Tcb);
        Subject::configured(lab, tcb, None)
    }

    /// Makes a thread without an IPC buffer that stops for good when it faults.
    pub fn without_fault_handler(lab: &mut Lab) -> Subject {
        let subject = Subject::guest(lab);
        let root = init_thread::slot::CNODE;
        let vspace = init_thread::slot::VSPACE;
        subject.tcb.tcb_set_space(CPtr::NULL, root, None, vspace).expect("spaces of a subject");
        subject
    }

    /// Configures a new thread.
    pub fn configured(
        lab: &Lab,
        tcb: cap::Tcb,
        ipc_buffer: Option<(usize, cap::Granule)>,
    ) -> Subject {
        tcb.tcb_configure(&TcbConfiguration {
            fault_ep: lab.faults.cptr(),
            cspace_root: init_thread::slot::CNODE,
            cspace_root_data: None,
            vspace_root: init_thread::slot::VSPACE,
            ipc_buffer,
            authority: init_thread::slot::TCB,
            sched: SchedParams { mcp: 0, priority: 100 },
        })
        .expect("configuration of a subject");
        Subject { tcb, faults: lab.faults }
    }

    /// Gives the thread another priority.
    pub fn set_priority(&self, priority: u8) {
        self.tcb.tcb_set_priority(init_thread::slot::TCB, priority).expect("priority of a subject");
    }

    /// Lets the thread run with these registers as soon as the root task waits.
    pub fn start(&self, context: &UserContext) {
        self.tcb.tcb_write_all_registers(true, context).expect("registers of a subject");
    }

    /// Runs the thread with these registers until it faults.
    pub fn run(&self, context: &UserContext) -> Outcome {
        self.start(context);
        self.next()
    }

    /// Waits for the next fault.
    pub fn next(&self) -> Outcome {
        self.outcome(&self.faults.recv_with_mrs())
    }

    /// Waits for the message of the next fault.
    pub fn wait(&self) -> RecvWithMRs {
        self.faults.recv_with_mrs()
    }

    /// Replies to a fault, and waits for the message of the next.
    pub fn answer(&self, info: MessageInfo, registers: [u64; 4]) -> RecvWithMRs {
        self.faults.reply_recv_with_mrs(info, registers)
    }

    /// Replies to an exception with its instruction pointer, stack pointer and
    /// flags, and waits for the next fault.
    pub fn resume(&self, exception: &UserException) -> Outcome {
        let (info, registers) = exception.reply();
        self.outcome(&self.faults.reply_recv_with_mrs(info, registers))
    }

    /// Decodes a message just received.
    pub fn outcome(&self, message: &RecvWithMRs) -> Outcome {
        Outcome { fault: Fault::decode(message, ipc_buffer()), label: message.info.label() }
    }

    /// Registers as they are now.
    pub fn registers(&self) -> UserContext {
        self.tcb.tcb_read_all_registers(false).expect("registers of a subject")
    }
}

/// Registers for the code at `rip`.
pub fn at(rip: u64) -> UserContext {
    UserContext { rip, rflags: PLAIN_FLAGS, ..UserContext::default() }
}

/// The message that ended a run.
pub struct Outcome {
    /// The fault, if it is one.
    pub fault: Option<Fault>,
    label: u64,
}

impl Outcome {
    /// Whether the code ran to its closing `ud2`.
    pub fn is_end(&self) -> bool {
        matches!(self.exception(), Some(exception) if exception.number == INVALID_OPCODE)
    }

    /// The exception, if it is one.
    pub fn exception(&self) -> Option<UserException> {
        match self.fault {
            Some(Fault::UserException(exception)) => Some(exception),
            _ => None,
        }
    }

    /// Describes the message in a few words.
    pub fn describe(&self) -> Text {
        match self.fault {
            Some(Fault::NullFault) => text!("no fault"),
            Some(Fault::CapFault(fault)) => text!("a CapFault on {:#x}", fault.addr),
            Some(Fault::VmFault(fault)) => {
                text!("a VMFault at {:#x}, code {:#x}", fault.addr, fault.fsr)
            }
            Some(Fault::UnknownSyscall(fault)) => {
                text!("an UnknownSyscall of number {:#x}", fault.syscall)
            }
            Some(Fault::UserException(fault)) => {
                text!("exception {} at {:#x}", fault.number, fault.ip)
            }
            None => text!("a message with label {}", self.label),
        }
    }
}
