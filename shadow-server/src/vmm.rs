//! What the vmm asks, and what it is told.

use protocol::desk::{News, Waiting};
use protocol::exit::{self, Completion};
use protocol::offers::Offers;
use protocol::request::Request;
use sel4::{RecvWithMRs, cap};
use vcpu::RegisterSet;
use x86::Gpa;

use crate::exits;
use crate::owed::Work;
use crate::requests;
use crate::serve::{Counter, Next, Server, Stop};
use crate::thread::Due;

impl Server {
    /// Hands an exit to the vmm, now or when it asks.
    pub(crate) fn exit(&mut self, index: usize, stop: Stop, waiting: Waiting) -> Next {
        process::count(Counter::Exits);
        self.vcpus[index].watchdog.progress();
        self.desk.stopped(index, stop, waiting);
        self.vcpus[index].thread.due = Due::Nothing;
        self.answer_parked();
        Next::Receive
    }

    /// The message that carries `news`.
    fn told(&mut self, news: News<Stop>) -> exit::Words {
        let words = match news {
            News::Exit(index, stop) => self.words(index, stop),
            News::Signal => {
                let input = core::mem::take(&mut self.input);
                exit::Exit::Woken { input }.encode(0)
            }
        };
        core::mem::take(&mut self.taken).add_to(words)
    }

    /// Answers the parked request if there are news.
    pub(crate) fn answer_parked(&mut self) {
        if let Some(news) = self.desk.news_for_parked() {
            let words = self.told(news);
            exits::answer(self.parked_reply(), words);
        }
    }

    fn words(&mut self, index: usize, stop: Stop) -> exit::Words {
        match stop {
            Stop::Exit(exit) => exits::with_argument(exit, &self.paging.memory).encode(index),
            Stop::Shutdown(fault) => {
                let vcpu = &mut self.vcpus[index];
                // Registers that cannot be read show as they were last known.
                let _ = vcpu.thread.load(&mut vcpu.registers, RegisterSet::All);
                exits::dump(&fault, vcpu.state, &vcpu.registers, self.bounce.bytes());
                exit::Exit::Shutdown.encode(index)
            }
        }
    }

    fn parked_reply(&self) -> cap::Endpoint {
        cap::Endpoint::from_bits(self.paging.caps.slots().replies.first)
    }

    pub(crate) fn waiting_writer(&self) -> cap::Endpoint {
        cap::Endpoint::from_bits(self.paging.caps.slots().replies.first + 1)
    }

    /// A message of the vmm.
    pub(crate) fn request(&mut self, message: &RecvWithMRs) -> Next {
        process::count(Counter::Requests);
        match Request::decode(message.info.label(), message.info.length(), message.msg) {
            Some(Request::NextExit { offers }) => match offers.is_none() {
                true => self.next_exit(),
                false => self.next_exit_with(offers),
            },
            Some(Request::Complete { vcpu, completion, offers }) => {
                self.complete(vcpu, completion, offers)
            }
            Some(Request::Read { gpa, length }) => {
                Next::Reply(requests::read(&self.paging.memory, &self.bounce, gpa, length))
            }
            Some(Request::Write { gpa, length, inline }) => {
                match requests::write(&mut self.paging, &self.bounce, (gpa, length), inline) {
                    Some(answer) => Next::Reply(answer),
                    None => self.write_in_parts(Gpa::new(gpa), length),
                }
            }
            Some(Request::LogDirty { on }) => {
                Next::Reply(requests::log_dirty(&mut self.paging, on))
            }
            Some(Request::ReadDirty { first }) => {
                Next::Reply(requests::read_dirty(&mut self.paging, &self.bounce, first))
            }
            None => Next::Reply(requests::refuse()),
        }
    }

    /// Parks a write of the vmm until the shadow has followed it.
    fn write_in_parts(&mut self, gpa: Gpa, length: u64) -> Next {
        let slot = self.paging.caps.place(self.waiting_writer().bits());
        if slot.save_caller().is_err() {
            return Next::Reply(requests::refuse());
        }
        self.put_off(Work::Write { gpa, length });
        Next::Receive
    }

    /// Answers with the oldest exit, or parks the vmm until there is one.
    pub(crate) fn next_exit(&mut self) -> Next {
        match self.desk.news() {
            Some(news) => Next::Reply(exits::message(self.told(news))),
            None => self.park(),
        }
    }

    /// Parks the vmm's request, whose sender waits for an answer.
    pub(crate) fn park(&mut self) -> Next {
        let slot = self.paging.caps.place(self.parked_reply().bits());
        match slot.save_caller() {
            Ok(()) => {
                self.desk.park();
                Next::Receive
            }
            Err(_) => Next::Reply(requests::refuse()),
        }
    }

    fn complete(&mut self, index: usize, completion: Completion, offers: Offers) -> Next {
        if !self.are_for_vcpus(offers) {
            return Next::Reply(requests::refuse());
        }
        let Some(waiting) = self.desk.complete(index) else {
            return Next::Reply(requests::refuse());
        };
        let accepted = match offers.is_none() {
            true => 0,
            false => self.accept(offers),
        };
        // What these say about the vCPU's answer does not concern the vmm,
        // which is the one that waits now.
        let _: Next = match waiting {
            Waiting::Access | Waiting::Shadow | Waiting::Nothing => self.resume(index),
            Waiting::Instruction | Waiting::Interrupt => {
                let completion = exits::completion(completion);
                self.step(index, |state, registers, mmu| {
                    vcpu::complete(state, registers, completion, mmu)
                })
            }
        };
        // This vCPU has taken its own as it went on, if it could.
        match accepted & !(1 << index) {
            0 => self.next_exit(),
            accepted => self.deliver_and_next(accepted),
        }
    }
}
