//! `cargo umbriel run`.

use std::io::{self, IsTerminal, Write, stdout};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use qemu::{Boot, Machine, Profile, Timing};
use system::manifest::System;

use crate::build::Artifacts;
use crate::cli::RunArgs;
use crate::command::build::build_for;
use crate::compose;
use crate::error::{Error, Result};
use crate::input::{RawTerminal, Typing};
use crate::machine::{self, Limits, Observer, Outcome};
use crate::output::backtrace;
use crate::output::counters;
use crate::output::json::{self, JsonLines};
use crate::output::record::{Content, Record};
use crate::output::screen::Screen;
use crate::output::status::{MachineEnd, exit_status};
use crate::output::text;
use crate::output::{backtrace::Programs, console::Piece};
use crate::repository::Repository;
use crate::tools::Need;

/// Runs the command.
///
/// # Errors
/// What the failing step said.
pub fn execute(repository: &Repository, args: &RunArgs) -> Result<u8> {
    let mut loaded = compose::load(repository, &args.system)?;
    look_inside(&mut loaded.system, args);
    if args.print_manifest {
        text::print(&loaded.system.to_toml())?;
        return Ok(0);
    }
    let timeout = timeout(args.timeout)?;
    check_stdin(args, &loaded.system)?;
    let needs = [Need::Build, Need::Boot];
    let built = build_for(repository, &[&loaded], args.system.debug_kernel, args.consent, &needs)?;
    let image = compose::compose(repository, &loaded, &built)?;
    let path = repository.target(&format!("umbriel/run/{}.elf", loaded.system.name));
    compose::write_whole(&path, &image)?;

    let timing = if args.icount { Timing::InstructionCount } else { Timing::RealTime };
    let machine = machine(&loaded.system, &built, &path, timing)?;
    if args.consent.verbose {
        eprintln!("umbriel: {}", machine.replay_command());
    }
    let interrupted = interrupt_flag()?;
    let limits = Limits { timeout, interrupted: &interrupted };
    let names: Vec<&str> = loaded.system.guests.iter().map(|guest| guest.name.as_str()).collect();
    if args.json {
        let mut lines =
            Lines { json: JsonLines::new(stdout().lock()), without_trace: args.trace.is_some() };
        let outcome = boot(&machine, limits, args, &interrupted, &mut lines)?;
        let status = conclude(&outcome, &names);
        lines.finish(&outcome, &names, status, args.counters)?;
        write_trace(args, &outcome)?;
        return Ok(status);
    }
    let mut people = People {
        screen: Screen::new(stdout(), colours()),
        programs: &built.programs,
        broken: None,
    };
    let outcome = boot(&machine, limits, args, &interrupted, &mut people)?;
    people.screen.finish()?;
    write_trace(args, &outcome)?;
    if args.counters {
        for name in &names {
            let counters = counters::of_guest(&outcome.records, name);
            text::print(&(counters::table(name, &counters).join("\n") + "\n"))?;
        }
    }
    Ok(conclude(&outcome, &names))
}

/// Runs the machine, with the terminal connected to a guest if asked to.
fn boot(
    machine: &Machine,
    limits: Limits<'_>,
    args: &RunArgs,
    interrupted: &Arc<AtomicBool>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let Some(guest) = &args.stdin else {
        return Ok(machine::run(machine, limits, observer)?);
    };
    let raw = RawTerminal::enter();
    if raw.is_some() {
        eprintln!("umbriel: keys go to {guest}; Ctrl-] ends the machine");
    }
    let mut typing = Typing::new(observer, guest, Arc::clone(interrupted));
    let outcome = machine::run(machine, limits, &mut typing);
    drop(raw);
    Ok(outcome?)
}

/// `--stdin` names a guest that has a UART.
fn check_stdin(args: &RunArgs, system: &System) -> Result<()> {
    let Some(name) = &args.stdin else {
        return Ok(());
    };
    let names: Vec<&str> = system.guests.iter().map(|guest| guest.name.as_str()).collect();
    if names.contains(&name.as_str()) {
        return Ok(());
    }
    Err(Error::new(format!(
        "--stdin {name}: the system has no such guest; it has {}",
        names.join(", ")
    )))
}

/// Records of page faults that `--trace` keeps if the manifest does not say.
const TRACED: u32 = 4096;
/// Records that `--audit` checks after each message if the manifest does not say.
const AUDITED: u32 = 64;

/// Lets the servers keep what the options ask for.
fn look_inside(system: &mut System, args: &RunArgs) {
    for guest in &mut system.guests {
        if args.trace.is_some() && guest.shadow.trace == 0 {
            guest.shadow.trace = TRACED;
        }
        if args.audit && guest.shadow.audit == 0 {
            guest.shadow.audit = AUDITED;
        }
    }
}

/// Writes what became of the latest page faults, by guest and in their order.
fn write_trace(args: &RunArgs, outcome: &Outcome) -> Result<()> {
    let Some(path) = &args.trace else {
        return Ok(());
    };
    let mut traced: Vec<_> = outcome.records.iter().filter(|record| record.is_trace()).collect();
    traced.sort_by_key(|record| {
        let guest = record.value["guest"].as_str().unwrap_or_default();
        (guest, record.value["number"].as_u64())
    });
    let lines: String = traced.iter().map(|record| format!("{}\n", record.value)).collect();
    std::fs::write(path, lines).map_err(Error::io("write", path))
}

fn timeout(seconds: Option<f64>) -> Result<Option<Duration>> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(Some(timeout)),
        _ => Err(Error::new(format!(
            "--timeout {seconds} is no time to wait; write seconds, such as 30 or 0.5"
        ))),
    }
}

fn colours() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The machine that boots `system` directly.
///
/// # Errors
/// If the manifest names an unknown machine.
pub fn machine(
    system: &System,
    built: &Artifacts,
    image: &std::path::Path,
    timing: Timing,
) -> Result<Machine> {
    Ok(Machine {
        profile: Profile::named(&system.machine.profile)?,
        cpu: system.machine.cpu.clone(),
        memory_bytes: system.machine.memory_bytes,
        timing,
        boot: Boot::Kernel {
            kernel: built.kernel.elf32.clone(),
            module: Some(image.to_owned()),
            arguments: String::new(),
        },
        extra: Vec::new(),
    })
}

/// A flag that Ctrl-C sets, instead of ending the tool; a second Ctrl-C ends
/// it at once.
///
/// # Errors
/// If the system refuses the handler.
pub fn interrupt_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// Says what needs saying about the end; returns the exit status.
fn conclude(outcome: &Outcome, names: &[&str]) -> u8 {
    for line in &outcome.malformed {
        eprintln!("umbriel: COM2 carried a line that is no control record: {line}");
    }
    let ended = outcome.qemu.as_ref();
    let messages = ended.map_or("", |ended| ended.messages.trim_end());
    if !messages.is_empty() && outcome.end != MachineEnd::Interrupted {
        eprintln!("umbriel: QEMU said:\n{messages}");
    }
    match outcome.end {
        MachineEnd::Off => {
            for name in names.iter().filter(|name| !outcome.guests.contains_key(**name)) {
                eprintln!(
                    "umbriel: the machine went off, but the guest {name} never reported its end"
                );
            }
        }
        MachineEnd::Died => {
            let status = ended.and_then(|ended| ended.status);
            let status =
                status.map_or("by a signal".to_owned(), |status| format!("with status {status}"));
            eprintln!(
                "umbriel: the machine ended without switching itself off (QEMU ended {status}); try --debug-kernel"
            );
        }
        MachineEnd::TimedOut => eprintln!("umbriel: time ran out"),
        MachineEnd::Interrupted => eprintln!("umbriel: interrupted"),
    }
    let ends: Vec<_> = names.iter().map(|name| outcome.guests.get(*name)).collect();
    exit_status(outcome.end, &ends)
}

/// Shows a machine to a person.
struct People<'a, W> {
    screen: Screen<W>,
    programs: &'a Programs,
    /// Set when standard output has gone; the machine runs on, as its exit
    /// status may be all that is asked for.
    broken: Option<io::Error>,
}

impl<W: Write> People<'_, W> {
    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.broken = Some(error);
        }
    }
}

impl<W: Write> Observer for People<'_, W> {
    fn piece(&mut self, piece: &Piece) {
        if self.broken.is_none() {
            let result = self.screen.piece(piece);
            self.keep(result);
        }
    }

    fn record(&mut self, record: &Record) {
        let Content::CrashBacktrace(crashed) = &record.content else {
            return;
        };
        for line in backtrace::describe(crashed, self.programs) {
            if self.broken.is_none() {
                let result = self.screen.line(&line);
                self.keep(result);
            }
        }
    }
}

/// Shows a machine to a program.
struct Lines<W> {
    json: JsonLines<W>,
    /// Page faults go to a file.
    without_trace: bool,
}

impl<W: Write> Observer for Lines<W> {
    fn piece(&mut self, piece: &Piece) {
        self.json.push(piece);
    }

    fn record(&mut self, record: &Record) {
        if !(self.without_trace && record.is_trace()) {
            self.json.write(&record.value);
        }
    }
}

impl<W: Write> Lines<W> {
    fn finish(
        &mut self,
        outcome: &Outcome,
        names: &[&str],
        status: u8,
        with_counters: bool,
    ) -> Result<()> {
        self.json.flush_lines();
        self.json.write(&json::run(outcome.end, status));
        for name in names {
            let mut end = json::guest(name, outcome.guests.get(*name));
            if with_counters {
                let counters = counters::of_guest(&outcome.records, name);
                end["counters"] = counters::json(&counters);
            }
            self.json.write(&end);
        }
        self.json.result().map_err(Error::from)
    }
}
