//! Interrupts: what the vmm offers, and when a vCPU takes it.
//!
//! An offer stands until it is taken or replaced. It is taken
//!
//! - when a stopped vCPU goes on, if its flags allow ([`Server::resume`]): so
//!   at the end of STI, IRETQ and every other instruction that trapped;
//! - at once when it is made, if the vCPU has halted;
//! - at once if the vCPU runs: its thread is stopped where it is.
//!
//! **Stopping a running thread.** A thread that has raised a fault waits in
//! the endpoint's queue, and its registers must not be changed before that
//! fault has been served: an INT3 or single step would be lost, a frame written
//! below a stack pointer that is about to be pushed again. So the server first
//! raises itself above its guest's threads. Now none of them runs; what they
//! had raised before is taken from the queue and served; and a vCPU whose fault
//! was not among it is between two instructions, with registers that hold still.
//! The server lowers itself again when it is done.

use protocol::desk::Waiting;
use protocol::exit::Exit;
use protocol::offers::Offers;
use sel4::cap;
use system::address_map::MAX_VCPUS;
use system::cspace;

use crate::requests;
use crate::serve::{Counter, Next, Server, Stop};
use protocol::badge;

const SELF: cap::Tcb = cap::Tcb::from_bits(cspace::process::OWN_TCB);

impl Server {
    /// The vmm asks for the next exit and changes offers.
    pub(crate) fn next_exit_with(&mut self, offers: Offers) -> Next {
        if !self.are_for_vcpus(offers) {
            return Next::Reply(requests::refuse());
        }
        let accepted = self.accept(offers);
        self.deliver_and_next(accepted)
    }

    /// Whether `offers` name vCPUs of this guest alone.
    pub(crate) fn are_for_vcpus(&self, offers: Offers) -> bool {
        u32::from(offers.changed()) >> self.vcpus.len() == 0
    }

    /// Notes `offers` and gives the vCPUs that they are for. One that comes when
    /// its vCPU has taken the one before and the vmm does not know that is void.
    pub(crate) fn accept(&mut self, offers: Offers) -> u8 {
        let late = offers.changed() & self.taken.vcpus;
        if late != 0 {
            self.taken.late |= late;
            self.desk.signal();
        }
        let accepted = offers.changed() & !late;
        for index in bits(accepted) {
            self.vcpus[index].offer = offers.vector(index);
        }
        accepted
    }

    /// Lets those of the vCPUs `accepted` take what they are offered that can,
    /// and answers the vmm, which waits, with the next exit.
    pub(crate) fn deliver_and_next(&mut self, accepted: u8) -> Next {
        if !bits(accepted).any(|index| self.can_take(index)) {
            return self.next_exit();
        }
        // To receive other messages, the answer that the vmm waits for must
        // be put aside.
        let next = self.park();
        if self.desk.is_parked() {
            self.deliver(accepted);
            self.answer_parked();
        }
        next
    }

    /// Whether vCPU `index` may be able to take what it is offered without
    /// being stopped by something else first.
    fn can_take(&self, index: usize) -> bool {
        let vcpu = &self.vcpus[index];
        vcpu.offer.is_some()
            && vcpu.state.interrupts_enabled()
            && matches!(self.desk.waiting(index), None | Some(Waiting::Interrupt))
    }

    fn is_running(&self, index: usize) -> bool {
        self.desk.waiting(index).is_none()
    }

    /// Lets vCPUs, halted or running, take what they are offered. The vmm may run
    /// as soon as it is answered, so running ones, for whose sake messages are
    /// taken, come first.
    fn deliver(&mut self, accepted: u8) {
        let running = |server: &Self, index| server.can_take(index) && server.is_running(index);
        if bits(accepted).any(|index| running(self, index)) && set_priority(self.priority + 1) {
            for index in bits(accepted) {
                if running(self, index) {
                    self.interrupt_running(index);
                }
            }
            set_priority(self.priority);
        }
        for index in bits(accepted) {
            // Nobody needs to be told that a vCPU had halted that goes on.
            if self.can_take(index) && self.desk.wake(index) {
                let _: Next = self.resume(index);
            }
        }
    }

    /// Stops a running vCPU, the server being above it; see the module's
    /// documentation.
    fn interrupt_running(&mut self, index: usize) {
        process::count(Counter::Interruptions);
        if !self.drain(index) && self.fetch_registers(index) {
            let _: Next = self.resume(index);
        }
    }

    /// Serves the messages that wait, until one of vCPU `index` was among
    /// them. At most one of each vCPU can be, and a signal.
    fn drain(&mut self, index: usize) -> bool {
        let endpoint = cap::Endpoint::from_bits(cspace::process::ENDPOINT);
        for _ in 0..=MAX_VCPUS {
            let message = endpoint.nb_recv_with_mrs();
            if message.badge == 0 {
                return false;
            }
            process::count(Counter::Wakes);
            if let Next::Reply((info, words)) = self.serve(&message) {
                sel4::reply_with_mrs(info, words);
            }
            if badge::vcpu_index(message.badge) == Some(index) {
                return true;
            }
        }
        false
    }

    /// vCPU `index` takes the interrupt `vector`.
    pub(crate) fn interrupt(&mut self, index: usize, vector: u8) -> Next {
        process::count(Counter::Interrupts);
        self.taken.vcpus |= 1 << index;
        self.vcpus[index].stepping = false;
        self.step(index, |state, registers, mmu| {
            vcpu::inject_interrupt(state, registers, vector, mmu)
        })
    }

    /// vCPU `index` executed HLT: it sleeps, unless an interrupt is there.
    pub(crate) fn halt(&mut self, index: usize, exit: Exit) -> Next {
        if let Some(vector) = self.vcpus[index].take_offer() {
            return self.interrupt(index, vector);
        }
        self.exit(index, Stop::Exit(exit), Waiting::Interrupt)
    }

    /// The instruction that an interrupt shadow covered is done.
    pub(crate) fn left_shadow(&mut self, index: usize) -> Next {
        self.vcpus[index].state.interruptibility = 0;
        self.resume(index)
    }
}

/// The vCPUs of a set, a bit for each.
fn bits(mut set: u8) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let index = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (index < MAX_VCPUS).then_some(index)
    })
}

/// Sets the server's own priority.
fn set_priority(priority: u8) -> bool {
    let done = SELF.tcb_set_priority(SELF, priority).is_ok();
    if !done {
        process::count(Counter::FailedInvocations);
    }
    done
}
