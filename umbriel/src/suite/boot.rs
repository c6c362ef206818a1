//! Boot tests: systems of `tests/systems/` in QEMU.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use qemu::{Boot, Machine, Timing};

use crate::build::Artifacts;
use crate::cli::SystemArgs;
use crate::command::{compose::write as write_composed, run};
use crate::compose::{self, Loaded};
use crate::error::{Error, Result};
use crate::machine::{self, Limits};
use crate::output::backtrace;
use crate::output::status::exit_status;
use crate::repository::Repository;
use crate::suite::bisect::Subject;
use crate::suite::expected::{BootKind, Expected};
use crate::suite::failure::{self, Log};
use crate::suite::typing::Typist;
use crate::suite::{Case, Verdict, bare, judge};

/// The group's name.
pub const GROUP: &str = "boot";

/// Where boot tests are.
const DIRECTORY: &str = "tests/systems";

/// A boot test with its system.
#[derive(Debug)]
pub struct BootTest {
    /// Its name.
    pub name: String,
    /// What it expects.
    pub expected: Expected,
    /// What it boots.
    pub loaded: Loaded,
}

/// What was built for boot tests.
#[derive(Debug)]
pub struct Built {
    /// With the release kernel.
    pub release: Option<Artifacts>,
    /// With the debug kernel, if a test needs it.
    pub debug: Option<Artifacts>,
}

impl Built {
    /// Nothing, for lists.
    pub fn none() -> Built {
        Built { release: None, debug: None }
    }

    fn with(&self, debug_kernel: bool) -> Result<&Artifacts> {
        let built = if debug_kernel { &self.debug } else { &self.release };
        built.as_ref().ok_or_else(|| Error::new("the test's kernel was not built"))
    }
}

/// Reads the boot tests that `wanted` names.
///
/// # Errors
/// What is wrong with a test's file or manifest.
pub fn load(repository: &Repository, wanted: impl Fn(&str) -> bool) -> Result<Vec<BootTest>> {
    let directory = repository.path(DIRECTORY);
    let mut tests = Vec::new();
    for entry in fs::read_dir(&directory).map_err(Error::io("read", &directory))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "expected") && wanted(&name) {
            tests.push(load_test(repository, &path, name)?);
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

fn load_test(repository: &Repository, path: &Path, name: String) -> Result<BootTest> {
    let expected = Expected::read(path)?;
    let manifest = expected.manifest(path);
    let args = SystemArgs { system: Some(manifest), ..SystemArgs::default() };
    let loaded = compose::load(repository, &args)?;
    Ok(BootTest { name, expected, loaded })
}

/// The cases of `tests`.
pub fn cases<'a>(
    repository: &'a Repository,
    tests: &'a [BootTest],
    built: &'a Built,
    interrupted: &'a AtomicBool,
) -> Vec<Case<'a>> {
    let case = |test: &'a BootTest| Case {
        group: GROUP,
        name: test.name.clone(),
        long: test.expected.long,
        parallel: true,
        work: Box::new(move || {
            run_test(repository, test, built, interrupted)
                .unwrap_or_else(|error| Verdict::fail(error.to_string()))
        }),
    };
    tests.iter().map(case).collect()
}

/// Where the images of `test` are, and what is kept if it fails.
pub fn directory(repository: &Repository, test: &BootTest) -> PathBuf {
    repository.target(&format!("umbriel/test/{}", test.name))
}

fn run_test(
    repository: &Repository,
    test: &BootTest,
    built: &Built,
    interrupted: &AtomicBool,
) -> Result<Verdict> {
    let built = built.with(test.expected.debug_kernel)?;
    let directory = directory(repository, test);
    let machine = prepare(repository, test, built, &directory)?;
    let limits = Limits { timeout: Some(Duration::from_secs(test.expected.timeout)), interrupted };
    let mut log = Log::default();
    let mut typist = Typist::new(&test.expected, &mut log);
    let outcome = machine::run(&machine, limits, &mut typist)?;

    let names = test.loaded.system.guests.iter().map(|guest| guest.name.as_str());
    let ends: Vec<_> = names.map(|name| outcome.guests.get(name)).collect();
    let status = exit_status(outcome.end, &ends);
    let mut problems = judge::problems(&test.expected, &outcome, status);
    for index in 0..test.loaded.system.guests.len() {
        let subject = Subject { repository, test, index, built, limits };
        problems.extend(bare::problems(subject, &outcome)?);
    }
    if problems.is_empty() {
        failure::forget(&directory);
        return Ok(Verdict::pass());
    }
    let mut report = format!("{}\n{}", test.expected.about, problems.join("\n"));
    for crashed in &outcome.backtraces {
        report = format!("{report}\n{}", backtrace::describe(crashed, &built.programs).join("\n"));
    }
    if let Some(messages) =
        outcome.qemu.map(|ended| ended.messages).filter(|messages| !messages.is_empty())
    {
        report = format!("{report}\nQEMU said: {}", messages.trim_end());
    }
    let script = failure::keep(&directory, &machine, &log, &report)?;
    Ok(Verdict::fail(format!(
        "{report}\n{}replay: sh {}",
        tail(&log.com1),
        repository.shown(&script)
    )))
}

/// Composes the test's system into `directory`; the machine that boots it.
fn prepare(
    repository: &Repository,
    test: &BootTest,
    built: &Artifacts,
    directory: &Path,
) -> Result<Machine> {
    let timing = match test.expected.real_time {
        Some(_) => Timing::RealTime,
        None => Timing::InstructionCount,
    };
    let image: PathBuf = directory.join("umbriel.elf");
    let mut machine = run::machine(&test.loaded.system, built, &image, timing)?;
    match test.expected.boot {
        BootKind::Direct => {
            let bytes = compose::compose(repository, &test.loaded, built)?;
            compose::write_whole(&image, &bytes)?;
        }
        BootKind::Iso => {
            fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
            write_composed(repository, &test.loaded, built, directory)?;
            machine.boot = Boot::Iso(directory.join("umbriel.iso"));
        }
    }
    Ok(machine)
}

/// The last lines of COM1, to see at a glance how far it came.
fn tail(com1: &[u8]) -> String {
    const LINES: usize = 12;
    let lines: Vec<&[u8]> = com1.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    shown
        .iter()
        .map(|line| format!("> {}\n", crate::output::escape::escape(line.trim_ascii_end())))
        .collect()
}
