//! The oracle for pc64 guests: the same image on a bare machine must print
//! the same and end with the same status.

use std::path::Path;
use std::time::Instant;

use qemu::{Boot, Event, Machine, Port, Profile, Running, Timing};
use system::manifest::Guest;

use crate::build::Artifacts;
use crate::error::{Error, Result};
use crate::machine::{Limits, Outcome};
use crate::suite::bisect::{self, Subject};
use crate::suite::expected::Typed;
use crate::suite::judge::difference;
use crate::suite::typing::Script;

/// Memory of a guest whose manifest names none.
const DEFAULT_MEMORY: u64 = system::manifest::DEFAULT_GUEST_MEMORY;

/// Why a guest does not do the same bare, if its test asks.
///
/// # Errors
/// If the bare machine does not run.
pub fn problems(subject: Subject<'_>, outcome: &Outcome) -> Result<Vec<String>> {
    let Subject { test, index, built, limits, .. } = subject;
    let guest = &test.loaded.system.guests[index];
    let Some(expected) =
        test.expected.guest.get(&guest.name).filter(|expected| expected.same_when_bare)
    else {
        return Ok(Vec::new());
    };
    let machine = machine(guest, image(guest, built)?)?;
    let (printed, status) = run(&machine, &expected.typed, limits)?;
    let mut problems = Vec::new();
    let (bare, here) = (text(&printed), text(&outcome.streams.bytes(&guest.name)));
    if bare != here {
        problems.push(format!("not as bare: {}", difference(&guest.name, &bare, &here)));
        if expected.bisect {
            problems.push(bisect::explain(subject, &bare, &here)?);
        }
    }
    let here = outcome.guests.get(&guest.name).map(|end| end.byte());
    if status != here {
        problems.push(format!("{} ends with {status:?} bare, with {here:?} here", guest.name));
    }
    Ok(problems)
}

/// What a machine printed, to be compared.
pub fn text(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).replace("\r\n", "\n").trim_end_matches('\n').to_owned()
}

/// The built image of `guest`.
///
/// # Errors
/// If it is not built.
pub fn image<'a>(guest: &Guest, built: &'a Artifacts) -> Result<&'a Path> {
    built
        .guest(&guest.source)
        .map(|path| path.as_path())
        .ok_or_else(|| Error::new(format!("{} is not built", guest.source)))
}

/// The bare machine that is for `guest`, built as `image`, what Umbriel's is.
///
/// # Errors
/// If there is no such machine profile.
pub fn machine(guest: &Guest, image: &Path) -> Result<Machine> {
    Ok(Machine {
        profile: Profile::named("bare")?,
        cpu: None,
        memory_bytes: guest.memory_bytes.unwrap_or(DEFAULT_MEMORY),
        timing: Timing::InstructionCount,
        boot: Boot::Kernel {
            kernel: image.to_owned(),
            module: None,
            arguments: guest.args.join(" "),
        },
        extra: Vec::new(),
    })
}

/// What the bare machine wrote to COM1, and the byte it wrote to its exit port.
/// `typed` is typed for its guest.
///
/// # Errors
/// If it does not start, or does not end within the limits.
pub fn run(
    machine: &Machine,
    typed: &[Typed],
    limits: Limits<'_>,
) -> Result<(Vec<u8>, Option<u8>)> {
    let mut running = Running::start(machine)?;
    let mut keyboard = running.keyboard();
    let mut script = Script::new(typed);
    let start = Instant::now();
    let mut printed = Vec::new();
    loop {
        match running.next_event(crate::machine::TICK) {
            Some(Event::Output(Port::Com1, bytes)) => {
                printed.extend(bytes);
                while let Some(text) = script.next(&printed) {
                    if let Some(keyboard) = &mut keyboard {
                        keyboard.send(text.as_bytes())?;
                    }
                }
            }
            Some(Event::Output(Port::Com2, _)) => {}
            Some(Event::Ended(ended)) => {
                return Ok((printed, ended.status.and_then(qemu::bare_exit_byte)));
            }
            None => {}
        }
        if limits.timeout.is_some_and(|timeout| start.elapsed() > timeout) {
            let command = machine.replay_command();
            return Err(Error::new(format!(
                "the bare machine does not end by itself:\n  {command}"
            )));
        }
    }
}
