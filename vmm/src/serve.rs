//! The vmm's loop: wait for an exit, serve it, complete it.

use protocol::counters;
use protocol::exit::{Completion, Exit, RegisterDump};
use protocol::offers::Offers;
use protocol::request::Request;
use protocol::supervisor::{Cause, GUEST_ENDED};
use sel4::runtime::StartupPage;
use sel4::{MessageInfo, cap};
use system::compiled;
use system::cspace;
use vmm::output::Output;
use vmm::platform::{Action, Machine, Platform};
use vmm::registers;
use zerocopy::IntoBytes;

use process::count;

use crate::services::{self, Services, next_exit};

sel4::process!(main);

const NOTHING_NEW: Request = Request::NextExit { offers: Offers::NONE };

fn main(page: StartupPage) -> ! {
    let startup = process::start(page);
    let platform = compiled::Platform::from_number(startup.platform).expect("a known platform");
    let tsc_hz = startup.tsc_hz.max(1);
    let machine = Machine { tsc_hz, vcpus: startup.vcpus as usize, mailbox: startup.secondary.rdi };
    let mut platform = Platform::new(platform, &machine, process::ticks());
    let mut output = Output::new();
    let mut services = Services { memory_bytes: startup.memory_bytes, tsc_hz, deadline: None };
    let mut request = NOTHING_NEW;
    loop {
        let Some((taken, vcpu, exit)) = next_exit(request) else {
            count(counters::Vmm::Refused);
            request = NOTHING_NEW;
            continue;
        };
        platform.taken(taken);
        if !matches!(exit, Exit::Woken { .. }) {
            count(counters::Vmm::Exits);
        }
        if exit == Exit::Shutdown {
            let mut dump = RegisterDump::default();
            services::read_bounce(dump.as_mut_bytes());
            registers::print(&dump, &mut output, &mut services);
        }
        let action = platform.serve(vcpu, exit, &mut output, &mut services);
        let offers = platform.offers();
        request = match action {
            Action::Complete(completion) => Request::Complete { vcpu, completion, offers },
            Action::Wait => Request::NextExit { offers },
            Action::Start { vcpu } => {
                Request::Complete { vcpu, completion: Completion::Done, offers }
            }
            Action::End { status, cause } => end(status, cause, &mut output, &mut services),
        };
        services.set_deadline(platform.deadline());
    }
}

/// Reports the guest's end; the supervisor stops this process then.
fn end(status: u64, cause: Cause, output: &mut Output, services: &mut Services) -> ! {
    output.flush(services);
    let supervisor = cap::Endpoint::from_bits(cspace::process::SUPERVISOR);
    let info = MessageInfo::new(GUEST_ENDED, 0, 0, 2);
    supervisor.send_with_mrs(info, [status, cause as u64]);
    loop {
        // The supervisor has stopped this thread before it can get here, or
        // does so at once.
        sel4::r#yield();
    }
}
