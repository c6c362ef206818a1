//! The server's loop: one message at a time, answered at once or parked.

use heapless::{Deque, Vec};
use protocol::badge;
pub(crate) use protocol::counters::Server as Counter;
use protocol::desk::{Desk, Waiting};
use protocol::exit::{self, Taken};
use sel4::{Fault, RecvWithMRs, cap, fault, ipc_buffer};
use shadow_core::{Access, AuditCursor, FaultOutcome};
use system::address_map::MAX_VCPUS;
use system::cspace;
use vcpu::{Outcome, Registers, Trap, TripleFault, VcpuState};
use x86::{Gva, PageFault, Vector};

use crate::exits;
use crate::owed::Work;
use crate::pages::Bounce;
use crate::paging::{Mmu, Paging};
use crate::requests::{self, Answer};
use crate::thread::Due;
use crate::vcpus::Vcpu;

/// Whom the server owes an answer after a message.
pub(crate) enum Next {
    /// Nobody: the sender is parked, or was resumed otherwise.
    Receive,
    /// The sender.
    Reply(Answer),
}

/// The server.
pub(crate) struct Server {
    pub(crate) paging: Paging,
    pub(crate) bounce: Bounce,
    pub(crate) vcpus: Vec<Vcpu, MAX_VCPUS>,
    /// News on their way to the vmm.
    pub(crate) desk: Desk<Stop>,
    /// Whether the console was among the drivers that signalled.
    pub(crate) input: bool,
    /// What became of offers, as far as the vmm does not know yet.
    pub(crate) taken: Taken,
    /// Priority of the guest's threads.
    pub(crate) priority: u8,
    /// Records of the shadow MMU to check after each message, and the next one.
    pub(crate) audit: (u32, AuditCursor),
    /// What is done in parts: at most one of each vCPU, and one of the vmm.
    pub(crate) work: Deque<Work, { MAX_VCPUS + 1 }>,
}

/// Why a vCPU waits for the vmm.
#[derive(Clone, Copy)]
pub(crate) enum Stop {
    Exit(exit::Exit),
    Shutdown(TripleFault),
}

impl Server {
    pub(crate) fn run(&mut self) -> ! {
        let endpoint = cap::Endpoint::from_bits(cspace::process::ENDPOINT);
        let mut next = Next::Receive;
        loop {
            let message = match next {
                _ if !self.work.is_empty() => self.work_and_poll(endpoint, next),
                Next::Receive => Some(endpoint.recv_with_mrs()),
                Next::Reply((info, words)) => Some(endpoint.reply_recv_with_mrs(info, words)),
            };
            next = match message {
                Some(message) => {
                    process::count(Counter::Wakes);
                    self.serve(&message)
                }
                None => Next::Receive,
            };
            if self.audit.0 != 0 {
                self.audit();
            }
        }
    }

    /// Checks some records of the shadow MMU; one that is wrong is a defect, and
    /// nothing that follows could be trusted.
    #[cold]
    fn audit(&mut self) {
        let mut owed = self.vcpus.iter().map(|vcpu| &vcpu.owed);
        if !self.work.is_empty() || owed.any(|owed| !owed.is_settled()) {
            return;
        }
        let (units, cursor) = &mut self.audit;
        let Paging { mmu, memory, .. } = &self.paging;
        match mmu.audit_some(cursor, *units, memory) {
            Ok(true) => process::count(Counter::AuditPasses),
            Ok(false) => {}
            Err(violation) => panic!("audit of the shadow MMU: {violation}"),
        }
    }

    /// Answers, does a part of the work that is left, and takes a message if one
    /// has come.
    #[cold]
    fn work_and_poll(&mut self, endpoint: cap::Endpoint, next: Next) -> Option<RecvWithMRs> {
        if let Next::Reply((info, words)) = next {
            sel4::reply_with_mrs(info, words);
        }
        process::count(Counter::Parts);
        // Whoever waits for this work is answered by other means than a reply to
        // the latest message.
        let _: Option<Next> = self.work.pop_front().map(|work| self.part(work));
        sel4::r#yield();
        let message = endpoint.nb_recv_with_mrs();
        (message.badge != 0).then_some(message)
    }

    fn part(&mut self, work: Work) -> Next {
        if let Work::Fault { index, .. } | Work::Resume { index } = work {
            self.desk.release(index);
        }
        match work {
            Work::Resume { index } => self.resume(index),
            Work::Fault { index, gva, access } => self.page_fault(index, gva, access),
            Work::Write { gpa, length } => {
                match self.paging.written(gpa, length) {
                    Ok(()) => requests::answer(self.waiting_writer(), protocol::request::WRITE),
                    Err(error) if error.is_again() => self.put_off(work),
                    Err(_) => requests::answer(self.waiting_writer(), protocol::REFUSED),
                }
                Next::Receive
            }
        }
    }

    /// Leaves the rest of some work for later.
    pub(crate) fn put_off(&mut self, work: Work) {
        if let Work::Fault { index, .. } | Work::Resume { index } = work {
            self.desk.hold(index);
            self.vcpus[index].thread.due = Due::Nothing;
        }
        // There is room for one of each vCPU and one of the vmm; each of them
        // waits meanwhile.
        let _ = self.work.push_back(work);
    }

    #[inline]
    pub(crate) fn serve(&mut self, message: &RecvWithMRs) -> Next {
        if let Some(index) = badge::vcpu_index(message.badge) {
            if index >= self.vcpus.len() {
                return Next::Reply(requests::refuse());
            }
            return self.stopped(index, message);
        }
        if message.badge == badge::VMM {
            return self.request(message);
        }
        if message.badge & badge::NOTIFICATION != 0 {
            process::count(Counter::Signals);
            self.desk.signal();
            self.input |= message.badge & badge::INPUT == badge::INPUT;
            self.answer_parked();
            return Next::Receive;
        }
        Next::Reply(requests::refuse())
    }

    /// A vCPU's thread has stopped with a fault.
    #[inline]
    fn stopped(&mut self, index: usize, message: &RecvWithMRs) -> Next {
        process::count(Counter::Faults);
        match Fault::decode(message, ipc_buffer()) {
            Some(Fault::VmFault(fault)) => self.vm_fault(index, &fault, message),
            Some(Fault::UserException(fault)) => {
                let general = fault::general_registers(message, ipc_buffer());
                self.vcpus[index].stopped_at([fault.ip, fault.sp, fault.flags], general);
                if fault.number == DEBUG && self.vcpus[index].stepping {
                    return self.left_shadow(index);
                }
                let trap = self.paging.rewrites.of_exception(&fault);
                self.trap(index, trap)
            }
            Some(Fault::UnknownSyscall(fault)) => {
                let bases = fault::bases(message, ipc_buffer());
                self.vcpus[index].stopped_with(&fault, bases);
                let trap = self.paging.rewrites.of_system_call(&fault);
                self.trap(index, trap)
            }
            // A thread without an IPC buffer makes no system calls, so it
            // cannot send or raise anything else (kernel edit E8).
            _ => Next::Reply(requests::refuse()),
        }
    }

    #[inline]
    fn vm_fault(&mut self, index: usize, fault: &fault::VmFault, message: &RecvWithMRs) -> Next {
        process::count(Counter::VmFaults);
        let access = access(fault);
        let gva = Gva::new(fault.addr);
        let vcpu = &mut self.vcpus[index];
        if vcpu.watchdog.fault(fault.ip, fault.addr) {
            process::count(Counter::NoProgress);
        }
        let cpu = vcpu.context();
        match self.paging.fault(&cpu, gva, access, fault.ip) {
            FaultOutcome::Filled { .. } | FaultOutcome::Retry => {
                Next::Reply((fault::resume(), [0; 4]))
            }
            outcome => {
                // Still there: no operation of the shadow MMU takes more than five words.
                let general = fault::general_registers(message, ipc_buffer());
                if self.vcpus[index].faulted_at(fault, general).is_err() {
                    process::count(Counter::FailedInvocations);
                    return Next::Receive;
                }
                self.no_fill(index, (gva, access), outcome)
            }
        }
    }

    /// Goes on with a page fault of which a part is done.
    fn page_fault(&mut self, index: usize, gva: Gva, access: Access) -> Next {
        let vcpu = &self.vcpus[index];
        let (cpu, rip) = (vcpu.context(), vcpu.registers.rip);
        match self.paging.fault_apart(&cpu, gva, access, rip) {
            FaultOutcome::Filled { .. } | FaultOutcome::Retry => self.resume(index),
            outcome => self.no_fill(index, (gva, access), outcome),
        }
    }

    /// A page fault that no mapping answers.
    fn no_fill(
        &mut self,
        index: usize,
        (gva, access): (Gva, Access),
        outcome: FaultOutcome,
    ) -> Next {
        let rip = self.vcpus[index].registers.rip;
        match outcome {
            FaultOutcome::Again => {
                self.put_off(Work::Fault { index, gva, access });
                Next::Receive
            }
            FaultOutcome::GuestFault(fault) => self.guest_fault(index, fault, access),
            FaultOutcome::NotRam { gpa, .. } => {
                let (gpa, write) = (gpa.get(), access == Access::Write);
                self.stop(index, exit::Exit::NotRam { gpa, rip, write })
            }
            FaultOutcome::ReadOnlyMemory { gpa } => {
                let gpa = gpa.get();
                self.stop(index, exit::Exit::ReadOnlyMemory { gpa, rip })
            }
            FaultOutcome::NonCanonical => {
                let (vector, error_code) = (GENERAL_PROTECTION, 0);
                self.trap(index, Trap::Exception { vector, error_code })
            }
            // Its space was recycled: enter it anew, then retry.
            FaultOutcome::NotActive | FaultOutcome::Filled { .. } | FaultOutcome::Retry => {
                self.resume(index)
            }
            FaultOutcome::Unmappable { .. } | FaultOutcome::Failed(_) => {
                self.stop(index, exit::Exit::Unsupported { rip, bytes: 0 })
            }
        }
    }

    /// A page fault that the guest's own tables raise.
    fn guest_fault(&mut self, index: usize, fault: PageFault, access: Access) -> Next {
        process::count(Counter::InjectedPageFaults);
        self.vcpus[index].remember(fault.address, access);
        self.trap(index, Trap::PageFault(fault))
    }

    /// The CPU takes a trap.
    fn trap(&mut self, index: usize, trap: Trap) -> Next {
        process::count(Counter::Exceptions);
        self.vcpus[index].watchdog.progress();
        self.step(index, |state, registers, mmu| vcpu::handle(state, registers, trap, mmu))
    }

    /// Lets the CPU work on vCPU `index`, then does what comes out of it.
    pub(crate) fn step(
        &mut self,
        index: usize,
        work: impl FnOnce(&mut VcpuState, &mut Registers, &mut Mmu<'_>) -> Outcome,
    ) -> Next {
        let vcpu = &mut self.vcpus[index];
        let context = vcpu.context();
        let mut mmu = Mmu::new(
            &mut self.paging,
            &mut vcpu.thread,
            &mut vcpu.translations,
            &mut vcpu.nothing_ahead,
            &mut vcpu.owed,
            context,
        );
        mmu.interrupt_pending = vcpu.offer.is_some();
        let outcome = work(vcpu.state, &mut vcpu.registers, &mut mmu);
        if mmu.failed {
            return self.give_up(index);
        }
        match outcome {
            Outcome::Resume => self.resume(index),
            Outcome::Exit(exit) => match exits::of_cpu(exit) {
                exit @ exit::Exit::Halt { .. } => self.halt(index, exit),
                exit => self.exit(index, Stop::Exit(exit), Waiting::Instruction),
            },
            Outcome::Shutdown(fault) => self.exit(index, Stop::Shutdown(fault), Waiting::Nothing),
        }
    }

    /// A vCPU that cannot go on: its platform ends the guest.
    fn give_up(&mut self, index: usize) -> Next {
        let rip = self.vcpus[index].registers.rip;
        let exit = exit::Exit::Unsupported { rip, bytes: 0 };
        self.exit(index, Stop::Exit(exit), Waiting::Nothing)
    }

    /// Where a vCPU stopped whose fault message did not say.
    pub(crate) fn fetch_registers(&mut self, index: usize) -> bool {
        let read = self.vcpus[index].fetch_first();
        if read.is_err() {
            process::count(Counter::FailedInvocations);
        }
        read.is_ok()
    }

    /// Lets a stopped vCPU run on, in the space that its state asks for. If
    /// it can take the interrupt that it is offered, it does.
    pub(crate) fn resume(&mut self, index: usize) -> Next {
        let vcpu = &mut self.vcpus[index];
        if vcpu.offer.is_some() || vcpu.stepping {
            if let Some(vector) = vcpu.take_offer() {
                return self.interrupt(index, vector);
            }
            vcpu.step_out_of_shadow();
        }
        let context = vcpu.context();
        let settled = match vcpu.owed.is_settled() {
            true => Ok(()),
            false => vcpu.owed.settle(&context, &mut self.paging),
        };
        let space = settled.and_then(|()| self.paging.activate(&context));
        if space.is_err_and(|error| error.is_again()) {
            self.put_off(Work::Resume { index });
            return Next::Receive;
        }
        let entered = space.is_ok_and(|space| vcpu.thread.enter(space, &self.paging.caps).is_ok());
        // A handler that returns to the instruction that faulted: its access comes
        // next, so what it needs is mapped now, which saves a fault.
        if entered && let Some(faulted) = vcpu.repeats() {
            self.paging.prefault(&context, faulted.gva, faulted.access);
        }
        if entered && let Some(reply) = vcpu.thread.reply(&vcpu.registers) {
            return Next::Reply(reply);
        }
        if entered && vcpu.thread.resume(&vcpu.registers).is_ok() {
            return Next::Receive;
        }
        process::count(Counter::FailedInvocations);
        self.give_up(index)
    }

    /// Stops a vCPU at its current instruction for the vmm.
    pub(crate) fn stop(&mut self, index: usize, exit: exit::Exit) -> Next {
        self.exit(index, Stop::Exit(exit), Waiting::Access)
    }
}

const GENERAL_PROTECTION: u64 = Vector::GeneralProtection as u64;
const DEBUG: u64 = Vector::Debug as u64;

/// What the thread tried. Without NX and SMEP the CPU does not tell fetches
/// from reads; a fetch is the fault at the instruction's own address.
const fn access(fault: &fault::VmFault) -> Access {
    const WRITE: u64 = 1 << 1;
    if fault.fsr & WRITE != 0 {
        Access::Write
    } else if fault.addr == fault.ip {
        Access::Execute
    } else {
        Access::Read
    }
}
