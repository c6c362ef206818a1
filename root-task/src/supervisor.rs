//! Supervision: waits for faults and reports, ends guests, powers off.
//!
//! Every process that faults ends: a process of a guest takes its guest with
//! it (status 127), a driver takes all guests with it. The others go on. When no
//! guest is left, the machine is switched off.

use heapless::{String, Vec};
use protocol::badge::{self, Sender};
use protocol::supervisor::{Cause, GUEST_ENDED, PANIC, PANIC_BYTES, STATUS_SERVER_CRASHED};
use protocol::timer;
use protocol::{bytes, counters};
use sel4::{CPtr, Fault, MessageInfo, RecvWithMRs, cap, ipc_buffer};
use shadow_core::Counters;
use system::compiled::{Archive, Injection, ProgramKind};

use crate::crash;
use crate::cspace::MAX_GUESTS;
use crate::drivers::Drivers;
use crate::error::BuildError;
use crate::guest::{Built, server_number};
use crate::machine;
use crate::names;
use crate::process::{Process, Workshop};
use crate::trace;
use crate::voice::Voice;

/// Most processes: two drivers, and two for each guest.
const MAX_PROCESSES: usize = 2 + 2 * MAX_GUESTS;
/// Counters of the shadow MMU in one record, which has a limit of bytes.
const COUNTERS_IN_A_RECORD: usize = 20;
/// Nanoseconds between looks at the fault counters while an injection waits.
const INJECTION_TICK_NS: u64 = 100_000;

/// A guest under supervision.
struct Guest {
    built: Option<Built>,
    ended: bool,
}

/// The supervisor.
pub struct Supervisor<'w, 'a> {
    workshop: &'w mut Workshop<'a>,
    archive: Archive<'a>,
    voice: Voice,
    drivers: &'w Drivers,
    guests: Vec<Guest, MAX_GUESTS>,
    injections: Vec<Injection, MAX_GUESTS>,
    last_words: [String<PANIC_BYTES>; MAX_PROCESSES],
    tick: Option<cap::Notification>,
}

/// Words of a guest's end in control records that are not a [`Cause`].
const CAUSE_CRASHED_SERVER: &str = "server-crashed";
const CAUSE_NOT_STARTED: &str = "not-started";
/// Exit status of a guest that could not be built.
const STATUS_NOT_STARTED: u64 = 125;

impl<'w, 'a> Supervisor<'w, 'a> {
    /// Takes over the drivers. Guests come by [`Supervisor::add`].
    pub fn new(workshop: &'w mut Workshop<'a>, voice: Voice, drivers: &'w Drivers) -> Self {
        Self {
            archive: workshop.archive,
            workshop,
            voice,
            drivers,
            guests: Vec::new(),
            injections: Vec::new(),
            last_words: [const { String::new() }; MAX_PROCESSES],
            tick: None,
        }
    }

    /// The workshop, to build the next guest.
    pub fn workshop(&mut self) -> &mut Workshop<'a> {
        self.workshop
    }

    /// Takes the next guest, in the archive's order: built, or why not.
    pub fn add(&mut self, built: Result<Built, BuildError>) {
        let index = self.guests.len();
        let name = self.archive.guests[index].name;
        let guest = match built {
            Ok(built) => {
                let number = server_number(index) + 1;
                self.voice.introduce(badge::client(number), &name);
                Guest { built: Some(built), ended: false }
            }
            Err(error) => {
                self.voice.line(format_args!("{name} is not started: {error}"));
                self.ended_record(index, STATUS_NOT_STARTED, CAUSE_NOT_STARTED);
                Guest { built: None, ended: true }
            }
        };
        // The archive has no more guests than that, or `main` refused it.
        let _ = self.guests.push(guest);
    }

    /// Sets the test's injections; `tick` is what the timer signals.
    pub fn inject(&mut self, injections: &[Injection], tick: cap::Notification) {
        for injection in injections.iter().take(MAX_GUESTS) {
            // Within the capacity by `take`.
            let _ = self.injections.push(*injection);
        }
        self.tick = Some(tick);
    }

    /// Starts the guests and supervises them until none is left.
    pub fn run(mut self) -> ! {
        for guest in &self.guests {
            if let Some(built) = &guest.built {
                for process in [&built.server, &built.vmm] {
                    // A thread that cannot be resumed shows as a guest that never ends.
                    let _ = process.tcb.tcb_resume();
                }
            }
        }
        for (index, guest) in self.guests.iter().enumerate() {
            if !guest.ended {
                let name = self.archive.guests[index].name;
                self.voice.record(format_args!(
                    "{{\"record\":\"guest-started\",\"guest\":\"{name}\",\"tick\":{}}}",
                    machine::ticks()
                ));
            }
        }
        self.schedule_tick();
        while self.guests.iter().any(|guest| !guest.ended) {
            let message = self.workshop.supervisor.recv_with_mrs();
            self.serve(&message);
        }
        self.drivers_counters();
        self.voice.record(format_args!("{{\"record\":\"machine-off\"}}"));
        machine::power_off()
    }

    fn serve(&mut self, message: &RecvWithMRs) {
        match Sender::from_badge(message.badge) {
            Some(Sender::Notification) => self.look_at_injections(),
            Some(Sender::Fault(number)) => {
                if let Some(fault) = Fault::decode(message, ipc_buffer()) {
                    self.crashed(number, &fault);
                }
            }
            Some(Sender::Report(number)) => self.report(number, message),
            None => {}
        }
    }

    fn report(&mut self, number: usize, message: &RecvWithMRs) {
        let [first, second, ..] = message.msg;
        match message.info.label() {
            PANIC => self.remember_last_words(number, message),
            GUEST_ENDED if number >= server_number(0) => {
                let index = (number - server_number(0)) / 2;
                let cause = Cause::from_number(second).unwrap_or(Cause::Unsupported);
                self.end(index, first & 0xff, cause.as_str());
            }
            _ => {}
        }
    }

    /// Keeps a panicking process's text until its fault arrives.
    fn remember_last_words(&mut self, number: usize, message: &RecvWithMRs) {
        let Some(last_words) = self.last_words.get_mut(number) else {
            return;
        };
        last_words.clear();
        let [length, fast @ ..] = message.msg;
        let rest = ipc_buffer().msg_regs()[message.msg.len()..].iter().map(|word| word.get());
        let text = bytes::unpack(fast.into_iter().chain(rest));
        for byte in text.take((length as usize).min(PANIC_BYTES)) {
            let printable = matches!(byte, b' '..=b'~');
            // Within the capacity by `take`.
            let _ = last_words.push(if printable { char::from(byte) } else { '?' });
        }
    }

    fn process(&self, number: usize) -> Option<Process> {
        match number {
            0 => Some(self.drivers.console),
            1 => Some(self.drivers.timer),
            _ => {
                let built = self.guests.get((number - 2) / 2)?.built.as_ref()?;
                Some(if number.is_multiple_of(2) { built.server } else { built.vmm })
            }
        }
    }

    fn crashed(&mut self, number: usize, fault: &Fault) {
        let Some(process) = self.process(number) else {
            return;
        };
        if process.program == ProgramKind::Console {
            self.voice.lost_console();
        }
        let guest = process.guest.map(|index| &self.archive.guests[index]);
        let name = names::process(process.program, guest);
        let guest_name = guest.map(|guest| guest.name);
        let guest_name = guest_name.as_ref().map_or("", |name| name.as_str());
        let last_words = self.last_words.get(number).map_or("", |words| words.as_str());
        crash::report(
            &self.voice,
            self.workshop,
            &process,
            (name.as_str(), guest_name),
            fault,
            last_words,
        );
        match process.guest {
            Some(index) => self.end(index, STATUS_SERVER_CRASHED, CAUSE_CRASHED_SERVER),
            None => (0..self.guests.len())
                .for_each(|index| self.end(index, STATUS_SERVER_CRASHED, CAUSE_CRASHED_SERVER)),
        }
    }

    /// Stops a guest's threads and says so; a guest ends once.
    fn end(&mut self, index: usize, status: u64, cause: &str) {
        let Some(guest) = self.guests.get_mut(index) else {
            return;
        };
        if core::mem::replace(&mut guest.ended, true) {
            return;
        }
        if let Some(built) = &guest.built {
            let servers = [built.server.tcb, built.vmm.tcb];
            for tcb in built.vcpus.iter().copied().chain(servers) {
                // Suspending a thread that exists does not fail.
                let _ = tcb.tcb_suspend();
            }
        }
        self.counters_record(index);
        self.trace_records(index);
        self.ended_record(index, status, cause);
    }

    fn ended_record(&self, index: usize, status: u64, cause: &str) {
        let name = self.archive.guests[index].name;
        self.voice.record(format_args!(
            "{{\"record\":\"guest-ended\",\"guest\":\"{name}\",\"status\":{status},\
             \"cause\":\"{cause}\",\"tick\":{}}}",
            machine::ticks()
        ));
    }

    fn counters_record(&mut self, index: usize) {
        let Some(built) = self.guests[index].built.as_ref() else {
            return;
        };
        let (server, vmm) = (built.server, built.vmm);
        let server_names = counters::Server::ALL.iter().map(|counter| counter.as_str());
        let vmm_names = counters::Vmm::ALL.iter().map(|counter| counter.as_str());
        self.counters_of(&server, 0, server_names);
        for (part, names) in Counters::NAMES.chunks(COUNTERS_IN_A_RECORD).enumerate() {
            let first = counters::SHADOW_MMU + part * COUNTERS_IN_A_RECORD;
            self.counters_of(&server, first, names.iter().copied());
        }
        self.counters_of(&vmm, 0, vmm_names);
    }

    /// The page faults that a guest's server has kept, in no particular order.
    fn trace_records(&mut self, index: usize) {
        let Some(built) = self.guests[index].built.as_ref() else {
            return;
        };
        let (first, pages) = built.trace;
        let name = self.archive.guests[index].name;
        for page in 0..pages {
            let frame = CPtr::from_bits(first + page).cast();
            let copied = self.workshop.peek(frame, |bytes| *bytes);
            let Some(bytes) = copied else { continue };
            for record in trace::records(&bytes) {
                self.voice.record(format_args!(
                    "{}",
                    trace::Json { guest: name.as_str(), record: &record }
                ));
            }
        }
    }

    fn drivers_counters(&mut self) {
        for driver in [self.drivers.console, self.drivers.timer] {
            let names = counters::Driver::ALL.iter().map(|counter| counter.as_str());
            self.counters_of(&driver, 0, names);
        }
    }

    /// One record of counters that lie in the process's page from word `first` on.
    fn counters_of<'n>(
        &mut self,
        process: &Process,
        first: usize,
        names: impl Iterator<Item = &'n str>,
    ) {
        use core::fmt::Write;
        let mut text = String::<768>::new();
        let values = self.counters(process, first);
        for (position, name) in names.enumerate() {
            let comma = if position == 0 { "" } else { "," };
            let value = values.get(position).copied().unwrap_or(0);
            // A list that is too long is cut; the record then does not parse,
            // which tests would notice.
            let _ = write!(text, "{comma}\"{name}\":{value}");
        }
        let guest = process.guest.map(|index| self.archive.guests[index].name);
        let guest = guest.as_ref().map_or("", |name| name.as_str());
        let program = process.program.name();
        self.voice.record(format_args!(
            "{{\"record\":\"counters\",\"guest\":\"{guest}\",\"process\":\"{program}\",\
             \"counters\":{{{text}}}}}"
        ));
    }

    /// Counters of a process, from word `first` of its page on.
    fn counters(&mut self, process: &Process, first: usize) -> [u64; counters::CAPACITY] {
        let Workshop { scratch, stores, .. } = &mut *self.workshop;
        scratch
            .with(process.counters, stores, |bytes| {
                let mut values = [0; counters::CAPACITY];
                let words = bytes.as_chunks::<8>().0.iter().skip(first);
                for (value, chunk) in values.iter_mut().zip(words) {
                    *value = u64::from_le_bytes(*chunk);
                }
                values
            })
            .unwrap_or([0; counters::CAPACITY])
    }

    fn schedule_tick(&self) {
        if self.injections.is_empty() {
            return;
        }
        let deadline = machine::ticks() + timer::ticks(INJECTION_TICK_NS, self.workshop.tsc_hz);
        self.drivers
            .supervisors_timer
            .nb_send_with_mrs(MessageInfo::new(timer::SET_DEADLINE, 0, 0, 1), [deadline]);
    }

    /// Lets the processes die whose guests have faulted often enough.
    fn look_at_injections(&mut self) {
        let mut waiting = Vec::new();
        for injection in core::mem::take(&mut self.injections) {
            if !self.carry_out(&injection) {
                // As many as there were before.
                let _ = waiting.push(injection);
            }
        }
        self.injections = waiting;
        self.schedule_tick();
    }

    /// Whether the injection is done with.
    fn carry_out(&mut self, injection: &Injection) -> bool {
        let Some(guest) = self.guests.get(injection.guest as usize) else {
            return true;
        };
        let Some(built) = guest.built.as_ref().filter(|_| !guest.ended) else {
            return true;
        };
        let (server, vmm) = (built.server, built.vmm);
        let faults = self.counters(&server, 0)[counters::Server::Faults as usize];
        if faults < injection.after_faults {
            return false;
        }
        let victim = if injection.program == ProgramKind::Vmm as u32 { vmm } else { server };
        let nowhere = sel4::UserContext::default();
        // The thread goes on at address 0, where nothing is mapped: it crashes
        // as by a wild jump. A refusal shows as a guest that does not crash.
        let _ = victim.tcb.tcb_write_registers(true, 1, &nowhere);
        true
    }
}
