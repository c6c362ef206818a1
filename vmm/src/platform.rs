//! The platforms and what they do with an exit.

use protocol::exit::{Completion, Exit, Taken};
use protocol::offers::Offers;
use protocol::supervisor::{Cause, STATUS_GUEST_CRASHED};
use system::compiled;

use crate::host::Host;
use crate::output::Output;
use crate::{pc64, solo5};

/// What becomes of the vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Complete(Completion),
    /// It waits for an interrupt, or no vCPU is concerned.
    Wait,
    /// No vCPU is concerned but this one, which goes on behind its HLT.
    Start {
        /// Its number.
        vcpu: usize,
    },
    /// The guest has ended.
    End {
        /// Exit status, 0 to 255.
        status: u64,
        /// Why.
        cause: Cause,
    },
}

impl Action {
    /// Goes on behind the instruction.
    pub const DONE: Self = Self::Complete(Completion::Done);
}

/// What a platform is told of the machine that it is part of.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// vCPUs, at least one.
    pub vcpus: usize,
    /// Guest-physical address of the mailbox that starts all but the first.
    pub mailbox: u64,
}

/// A guest's platform with its devices.
#[expect(clippy::large_enum_variant, reason = "a process has one platform, on its stack")]
pub enum Platform {
    /// Solo5 hvt.
    Solo5(solo5::Tender),
    /// PC devices.
    Pc64(pc64::Pc),
}

impl Platform {
    /// A platform as it is after power-on, at `now`.
    pub fn new(platform: compiled::Platform, machine: &Machine, now: u64) -> Self {
        match platform {
            compiled::Platform::Solo5Hvt => Self::Solo5(solo5::Tender::new()),
            compiled::Platform::Pc64 => Self::Pc64(pc64::Pc::new(machine, now)),
        }
    }

    /// Some vCPUs took the interrupts that they were offered. Called before
    /// the exit that brought the news is served.
    pub fn taken(&mut self, taken: Taken) {
        if let Self::Pc64(pc) = self {
            pc.taken(taken);
        }
    }

    /// What changed for the vCPUs at the interrupt controllers; it counts as
    /// told from now on.
    pub fn offers(&mut self) -> Offers {
        match self {
            Self::Solo5(_) => Offers::NONE,
            Self::Pc64(pc) => pc.offers(),
        }
    }

    /// When the platform must be woken, in ticks of the time-stamp counter.
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Self::Solo5(_) => None,
            Self::Pc64(pc) => pc.deadline(),
        }
    }

    /// Serves `exit` of vCPU number `vcpu`.
    pub fn serve(
        &mut self,
        vcpu: usize,
        exit: Exit,
        output: &mut Output,
        host: &mut impl Host,
    ) -> Action {
        match exit {
            Exit::Shutdown => shut_down(output, host),
            Exit::Unsupported { rip, bytes } => unsupported(rip, bytes, output, host),
            _ => match self {
                Self::Solo5(tender) => tender.serve(exit, output, host),
                Self::Pc64(pc) => pc.serve(vcpu, exit, output, host),
            },
        }
    }
}

fn shut_down(output: &mut Output, host: &mut impl Host) -> Action {
    output.message(host, format_args!("umbriel: triple fault; the vCPU has shut down"));
    Action::End { status: STATUS_GUEST_CRASHED, cause: Cause::TripleFault }
}

fn unsupported(rip: u64, bytes: u64, output: &mut Output, host: &mut impl Host) -> Action {
    let [a, b, c, d, e, f, g, h] = bytes.to_le_bytes();
    output.message(
        host,
        format_args!(
            "umbriel: the instruction at {rip:#x} is not virtualised (bytes \
             {a:02x} {b:02x} {c:02x} {d:02x} {e:02x} {f:02x} {g:02x} {h:02x})"
        ),
    );
    Action::End { status: STATUS_GUEST_CRASHED, cause: Cause::Unsupported }
}
