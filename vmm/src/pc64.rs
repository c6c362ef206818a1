//! The pc64 platform: PC devices through ports.
//!
//! ```text
//!  port exits ─► ports ─► UART, timer, interrupt controllers, clock, power, exit port
//!                           │ rises        │ pending
//!                           └──► input 0 ──┴──► offer ─► the vCPU takes it
//!  MSR exits ─► APICs, with several vCPUs ─────────┘
//! ```

mod interrupts;
mod ports;
mod wakeup;

use protocol::exit::{Completion, Exit, Taken};
use protocol::offers::Offers;
use protocol::supervisor::{Cause, STATUS_GUEST_CRASHED};

use crate::apic::Refused;
use crate::host::Host;
use crate::output::Output;
use crate::pit::Pit;
use crate::platform::{Action, Machine};
use crate::power::Power;
use crate::rtc::Rtc;
use crate::uart::{self, Uart};
use interrupts::Interrupts;
use wakeup::Wakeup;

pub use ports::EXIT_PORT;

/// The timer's input of the interrupt controllers.
const TIMER_IRQ: u8 = 0;
/// IA32_TIME_STAMP_COUNTER.
const TSC: u32 = 0x10;
/// Wake-ups for the timer come at most this often, in Hz: each costs the
/// machine's timer driver time that nobody is charged for. Rises in between
/// are late by up to a period of this.
const WAKES_A_SECOND: u64 = 10_000;

/// The devices.
pub struct Pc {
    uart: Uart,
    interrupts: Interrupts,
    pit: Pit,
    rtc: Rtc,
    power: Power,
    wakeup: Wakeup,
    /// Ticks between wake-ups for timers, at least.
    wake_interval: u64,
    /// A timer rose at this tick or, if a wake-up was due, a little later.
    last_rise: u64,
    /// The console has, or may have, bytes that were typed for the guest.
    input_waits: bool,
}

impl Pc {
    /// As the firmware leaves it, at `now`.
    pub fn new(machine: &Machine, now: u64) -> Self {
        let &Machine { tsc_hz, vcpus, mailbox } = machine;
        Self {
            uart: Uart::new(),
            interrupts: Interrupts::new(vcpus),
            pit: Pit::new(tsc_hz, now),
            rtc: Rtc::new(),
            power: Power::new(tsc_hz),
            wakeup: Wakeup::new(vcpus, mailbox, tsc_hz, now),
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
            Exit::PortOut { port, size, value, .. } => {
                self.port_out(port, size, value, output, host)
            }
            Exit::PortIn { port, size } => {
                Action::Complete(Completion::Value(self.port_in(port, size, host)))
            }
            Exit::ReadMsr { index } => Action::Complete(
                self.read_msr(vcpu, index, host.now())
                    .map_or(Completion::GeneralProtection, Completion::Value),
            ),
            Exit::WriteMsr { index, value } => {
                let written = self.interrupts.write_msr(vcpu, index, value, host.now());
                Action::Complete(match written {
                    Ok(()) => Completion::Done,
                    Err(Refused) => Completion::GeneralProtection,
                })
            }
            Exit::Woken { input } => {
                self.input_waits |= input;
                self.take_input(host);
                match self.wakeup.poll(host.now(), host) {
                    Some(vcpu) => Action::Start { vcpu },
                    None => Action::Wait,
                }
            }
            Exit::Halt { interruptible: true } => {
                output.flush(host);
                Action::Wait
            }
            Exit::Halt { interruptible: false } => self.halt_for_good(vcpu, output, host),
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

    /// The time-stamp counter cannot be written: RDTSC would not show it.
    fn read_msr(&self, vcpu: usize, index: u32, now: u64) -> Result<u64, Refused> {
        match index {
            TSC => Ok(now),
            _ => self.interrupts.read_msr(vcpu, index, now),
        }
    }

    fn pass_time(&mut self, now: u64) {
        if self.pit.poll(now) {
            self.last_rise = now;
            self.interrupts.pic.pulse(TIMER_IRQ);
        }
        if self.interrupts.has_apics() {
            self.pass_time_of_apics(now);
        }
    }

    #[inline(never)] // off the path of one vCPU
    fn pass_time_of_apics(&mut self, now: u64) {
        let next = self.interrupts.next_interrupt();
        if next.is_some_and(|next| next <= now) {
            self.last_rise = now;
        }
        self.interrupts.poll(now);
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
            bytes[..count].iter().for_each(|byte| self.uart.receive(*byte));
            self.input_waits = count == room;
        }
        let output = self.uart.interrupts();
        self.interrupts.pic.set_line(uart::IRQ, output);
    }

    /// Some vCPUs took what they were offered.
    pub fn taken(&mut self, taken: Taken) {
        if taken.vcpus != 0 {
            self.interrupts.taken(taken);
        }
    }

    /// What the vCPUs must be told, as far as it is something else than before.
    pub fn offers(&mut self) -> Offers {
        self.interrupts.offers()
    }

    /// When the platform must be woken.
    pub fn deadline(&self) -> Option<u64> {
        let pit = match self.interrupts.pic.is_masked(TIMER_IRQ) {
            true => None,
            false => self.pit.next_rise(),
        };
        match self.interrupts.has_apics() {
            true => {
                let rise = earlier(pit, self.interrupts.next_interrupt());
                earlier(self.not_too_soon(rise), self.wakeup.deadline())
            }
            false => self.not_too_soon(pit),
        }
    }

    fn not_too_soon(&self, rise: Option<u64>) -> Option<u64> {
        let soonest = self.last_rise.saturating_add(self.wake_interval);
        rise.map(|rise| rise.max(soonest))
    }
}

fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

const fn ended(cause: Cause) -> Action {
    Action::End { status: STATUS_GUEST_CRASHED, cause }
}

#[cfg(test)]
mod tests;
