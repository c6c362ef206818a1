//! The pc64 platform: PC devices through ports.
//!
//! ```text
//!  port exits ─► ports ─► UART, timer, interrupt controllers, clock, power, exit port
//!                           │ rises        │ pending
//!                           └──► input 0 ──┴──► offer ─► the vCPU takes it
//! ```
//!
//! The controllers' answer to an acknowledgement is *offered* to the vCPU,
//! which takes it when its interrupt flag allows. The news that it did arrives
//! with the next exit, before that is served; since the guest sees the
//! controllers through exits only, it finds them as if they had been
//! acknowledged at that instant.

mod ports;
mod wakeup;

use protocol::exit::{Completion, Exit, Taken};
use protocol::request::Offer;
use protocol::supervisor::{Cause, STATUS_GUEST_CRASHED};

use crate::host::Host;
use crate::output::Output;
use crate::pic::{self, Pair};
use crate::pit::Pit;
use crate::platform::{Action, Machine};
use crate::power::Power;
use crate::rtc::Rtc;
use crate::uart::{self, Uart};
use wakeup::Wakeup;

pub use ports::EXIT_PORT;

/// The timer's input of the interrupt controllers.
const TIMER_IRQ: u8 = 0;
/// Wake-ups for the timer come at most this often, in Hz: each costs the
/// machine's timer driver time that nobody is charged for. Rises in between
/// are late by up to a period of this.
const WAKES_A_SECOND: u64 = 10_000;

/// The devices.
pub struct Pc {
    uart: Uart,
    pic: Pair,
    pit: Pit,
    rtc: Rtc,
    power: Power,
    wakeup: Wakeup,
    /// What the vCPU is offered, and what it was offered before.
    offered: Option<pic::Request>,
    offered_before: Option<pic::Request>,
    /// Ticks between wake-ups for the timer, at least.
    wake_interval: u64,
    /// The timer rose at this tick or, if a wake-up was due, a little later.
    last_rise: u64,
    /// The console has, or may have, bytes that were typed for the guest.
    input_waits: bool,
}

impl Pc {
    /// As the firmware leaves it, at `now`.
    pub fn new(machine: &Machine, now: u64) -> Self {
        let &Machine {
            tsc_hz,
            vcpus,
            mailbox,
        } = machine;
        Self {
            uart: Uart::new(),
            pic: Pair::new(),
            pit: Pit::new(tsc_hz, now),
            rtc: Rtc::new(),
            power: Power::new(tsc_hz),
            wakeup: Wakeup::new(vcpus, mailbox, tsc_hz, now),
            offered: None,
            offered_before: None,
            wake_interval: tsc_hz / WAKES_A_SECOND,
            last_rise: now,
            input_waits: false,
        }
    }

    /// Serves an exit of vCPU number `vcpu`.
    pub fn serve(
        &mut self,
        vcpu: usize,
        exit: Exit,
        output: &mut Output,
        host: &mut impl Host,
    ) -> Action {
        self.pass_time(host.now());
        match exit {
            Exit::PortOut {
                port, size, value, ..
            } => self.port_out(port, size, value, output, host),
            Exit::PortIn { port, size } => {
                Action::Complete(Completion::Value(self.port_in(port, size, host)))
            }
            Exit::ReadMsr { .. } | Exit::WriteMsr { .. } => {
                Action::Complete(Completion::GeneralProtection)
            }
            Exit::Woken { input } => {
                self.input_waits |= input;
                self.take_input(host);
                match self.wakeup.poll(host.now(), host) {
                    Some(vcpu) => Action::Start { vcpu },
                    None => Action::Wait,
                }
            }
            Exit::Halt {
                interruptible: true,
            } => {
                output.flush(host);
                Action::Wait
            }
            Exit::Halt {
                interruptible: false,
            } => self.halt_for_good(vcpu, output, host),
            Exit::ReadOnlyMemory { gpa, rip } | Exit::NotRam { gpa, rip, .. } => {
                output.message(
                    host,
                    format_args!("umbriel: no device at guest-physical {gpa:#x} (rip {rip:#x})"),
                );
                ended(Cause::Unsupported)
            }
            Exit::Shutdown | Exit::Unsupported { .. } => ended(Cause::Unsupported),
        }
    }

    /// A vCPU halted with interrupts off: to be started, or for ever.
    fn halt_for_good(&mut self, vcpu: usize, output: &mut Output, host: &mut impl Host) -> Action {
        if self.wakeup.halted(vcpu) {
            return Action::Wait;
        }
        output.message(
            host,
            format_args!("umbriel: halted with interrupts off, and nothing can wake it"),
        );
        ended(Cause::Unsupported)
    }

    fn pass_time(&mut self, now: u64) {
        if self.pit.poll(now) {
            self.last_rise = now;
            self.pic.pulse(TIMER_IRQ);
        }
    }

    /// Moves what was typed to the UART, as far as it has room.
    fn take_input(&mut self, host: &mut impl Host) {
        let mut bytes = [0; 16];
        while self.input_waits {
            let room = self.uart.room().min(bytes.len());
            if room == 0 {
                break;
            }
            let count = host.input(&mut bytes[..room]);
            bytes[..count]
                .iter()
                .for_each(|byte| self.uart.receive(*byte));
            self.input_waits = count == room;
        }
        self.pic.set_line(uart::IRQ, self.uart.interrupts());
    }

    /// The vCPU took what it was offered, or what it was offered before that.
    pub fn taken(&mut self, taken: Taken) {
        if taken.late {
            self.offered = self.offered_before;
        }
        if taken.vcpus & 1 != 0
            && let Some(request) = self.offered.take()
        {
            self.pic.acknowledge(request.irq);
        }
    }

    /// What the vCPU must be told, if it is something else than before.
    pub fn offer(&mut self) -> Option<Offer> {
        let pending = self.pic.pending();
        if pending == self.offered {
            return None;
        }
        self.offered_before = self.offered;
        self.offered = pending;
        Some(Offer {
            vcpu: 0,
            vector: pending.map(|request| request.vector),
        })
    }

    /// When the platform must be woken.
    pub fn deadline(&self) -> Option<u64> {
        match (self.rise(), self.wakeup.deadline()) {
            (Some(rise), Some(look)) => Some(rise.min(look)),
            (rise, look) => rise.or(look),
        }
    }

    /// When the timer's next rise can make a difference.
    fn rise(&self) -> Option<u64> {
        if self.pic.is_masked(TIMER_IRQ) {
            return None;
        }
        let soonest = self.last_rise.saturating_add(self.wake_interval);
        self.pit.next_rise().map(|rise| rise.max(soonest))
    }
}

const fn ended(cause: Cause) -> Action {
    Action::End {
        status: STATUS_GUEST_CRASHED,
        cause,
    }
}

#[cfg(test)]
mod tests;
