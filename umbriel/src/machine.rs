//! Runs a machine to its end and collects what it said.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use qemu::{Ended, Event, Keyboard, Machine, Port, Running};

use crate::output::console::{ConsoleParser, Piece};
use crate::output::record::{Backtrace, Content, Malformed, Record, RecordParser};
use crate::output::status::{GuestEnd, MachineEnd};
use crate::output::streams::Streams;

/// Who sees a machine's output while it runs.
pub trait Observer {
    /// A part of COM1.
    fn piece(&mut self, piece: &Piece);
    /// A control record.
    fn record(&mut self, record: &Record);
    /// What types at COM1, before anything else comes.
    fn keyboard(&mut self, _keyboard: Keyboard) {}
    /// Raw bytes of a port, before they are taken apart.
    fn bytes(&mut self, _port: Port, _bytes: &[u8]) {}
}

/// What became of a machine.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: MachineEnd,
    /// How QEMU ended.
    pub qemu: Option<Ended>,
    /// The ends of the guests that reported one.
    pub guests: BTreeMap<String, GuestEnd>,
    /// Where processes were that died.
    pub backtraces: Vec<Backtrace>,
    /// Every client's own bytes.
    pub streams: Streams,
    /// All control records.
    pub records: Vec<Record>,
    /// Lines of COM2 that are no records.
    pub malformed: Vec<String>,
}

/// When to end a machine that does not end by itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// Wall time; none if it may run forever.
    pub timeout: Option<Duration>,
    /// Set when the user pressed Ctrl-C.
    pub interrupted: &'a AtomicBool,
}

/// How often a waiting machine looks at its limits.
pub const TICK: Duration = Duration::from_millis(50);

/// Starts `machine` and follows it to its end.
///
/// # Errors
/// [`qemu::Error`] if it does not start.
pub fn run(
    machine: &Machine,
    limits: Limits<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome, qemu::Error> {
    let mut running = Running::start(machine)?;
    if let Some(keyboard) = running.keyboard() {
        observer.keyboard(keyboard);
    }
    let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
    let mut follower = Follower::new(observer);
    let mut ended_by_us = None;
    let ended = loop {
        match running.next_event(TICK) {
            Some(Event::Output(port, bytes)) => follower.bytes(port, &bytes),
            Some(Event::Ended(ended)) => break ended,
            None => {}
        }
        if ended_by_us.is_none() && limits.interrupted.load(Ordering::Relaxed) {
            ended_by_us = Some(MachineEnd::Interrupted);
            running.kill();
        } else if ended_by_us.is_none()
            && deadline.is_some_and(|deadline| Instant::now() >= deadline)
        {
            ended_by_us = Some(MachineEnd::TimedOut);
            running.kill();
        }
    };
    // Ctrl-C at a terminal reaches QEMU too, which may end before we look.
    let interrupted = limits.interrupted.load(Ordering::Relaxed);
    Ok(follower.finish(ended_by_us.or(interrupted.then_some(MachineEnd::Interrupted)), ended))
}

struct Follower<'a> {
    observer: &'a mut dyn Observer,
    console: ConsoleParser,
    control: RecordParser,
    outcome: Outcome,
    switched_off: bool,
}

impl<'a> Follower<'a> {
    fn new(observer: &'a mut dyn Observer) -> Follower<'a> {
        let outcome = Outcome {
            end: MachineEnd::Died,
            qemu: None,
            guests: BTreeMap::new(),
            backtraces: Vec::new(),
            streams: Streams::default(),
            records: Vec::new(),
            malformed: Vec::new(),
        };
        Follower {
            observer,
            console: ConsoleParser::default(),
            control: RecordParser::default(),
            outcome,
            switched_off: false,
        }
    }

    fn bytes(&mut self, port: Port, bytes: &[u8]) {
        self.observer.bytes(port, bytes);
        match port {
            Port::Com1 => {
                let pieces = self.console.push(bytes);
                self.pieces(&pieces);
            }
            Port::Com2 => {
                for record in self.control.push(bytes) {
                    self.record(record);
                }
            }
        }
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.outcome.streams.push(piece);
            self.observer.piece(piece);
        }
    }

    fn record(&mut self, record: Result<Record, Malformed>) {
        let record = match record {
            Ok(record) => record,
            Err(Malformed(line)) => return self.outcome.malformed.push(line),
        };
        match &record.content {
            Content::GuestEnded { guest, status, cause } => {
                let end = GuestEnd { status: *status, cause: cause.clone() };
                self.outcome.guests.insert(guest.clone(), end);
            }
            Content::CrashBacktrace(backtrace) => self.outcome.backtraces.push(backtrace.clone()),
            Content::MachineOff {} => self.switched_off = true,
            Content::Crash { .. }
            | Content::Boot {}
            | Content::GuestStarted { .. }
            | Content::Unknown => {}
        }
        self.observer.record(&record);
        self.outcome.records.push(record);
    }

    fn finish(mut self, ended_by_us: Option<MachineEnd>, ended: Ended) -> Outcome {
        let pieces = self.console.finish();
        self.pieces(&pieces);
        if let Some(record) = self.control.finish() {
            self.record(record);
        }
        let by_itself = if self.switched_off { MachineEnd::Off } else { MachineEnd::Died };
        // A machine that said it goes off and then did is off, even if time
        // ran out in the same moment.
        self.outcome.end = match ended_by_us {
            Some(end) if !self.switched_off => end,
            _ => by_itself,
        };
        self.outcome.qemu = Some(ended);
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Observer for Nobody {
        fn piece(&mut self, _: &Piece) {}
        fn record(&mut self, _: &Record) {}
    }

    fn outcome(com2: &[u8], ended_by_us: Option<MachineEnd>) -> Outcome {
        let mut nobody = Nobody;
        let mut follower = Follower::new(&mut nobody);
        follower.bytes(Port::Com1, b"web| hi");
        follower.bytes(Port::Com2, com2);
        follower.finish(ended_by_us, Ended { status: Some(0), messages: String::new() })
    }

    const OFF: &[u8] = b"{\"record\":\"machine-off\"}\n";

    #[test]
    fn a_machine_that_says_nothing_died() {
        assert_eq!(outcome(b"", None).end, MachineEnd::Died);
        assert_eq!(outcome(OFF, None).end, MachineEnd::Off);
        assert_eq!(outcome(b"", Some(MachineEnd::TimedOut)).end, MachineEnd::TimedOut);
        assert_eq!(outcome(OFF, Some(MachineEnd::TimedOut)).end, MachineEnd::Off);
    }

    #[test]
    fn ends_and_streams_are_collected() {
        let com2 = b"{\"record\":\"guest-ended\",\"guest\":\"web\",\"status\":4,\"cause\":\"exit\"}\njunk\n";
        let outcome = outcome(com2, None);
        assert_eq!(outcome.guests["web"].byte(), 4);
        assert_eq!(outcome.malformed, ["junk"]);
        assert_eq!(outcome.streams.bytes("web"), b"hi");
    }

    /// A machine without anything to boot: its BIOS waits forever.
    fn idle() -> Machine {
        Machine {
            profile: qemu::Profile::named("pc").unwrap(),
            cpu: None,
            memory_bytes: 32 << 20,
            timing: qemu::Timing::RealTime,
            boot: qemu::Boot::Iso("/dev/null".into()),
            extra: Vec::new(),
        }
    }

    #[test]
    fn time_runs_out() {
        let timeout = Some(Duration::from_millis(200));
        let limits = Limits { timeout, interrupted: &AtomicBool::new(false) };
        let outcome = run(&idle(), limits, &mut Nobody).unwrap();
        assert_eq!(outcome.end, MachineEnd::TimedOut);
        assert_eq!(outcome.qemu.unwrap().status, None, "QEMU was killed");
    }

    #[test]
    fn an_interrupt_ends_the_machine() {
        let limits = Limits { timeout: None, interrupted: &AtomicBool::new(true) };
        assert_eq!(run(&idle(), limits, &mut Nobody).unwrap().end, MachineEnd::Interrupted);
    }
}
