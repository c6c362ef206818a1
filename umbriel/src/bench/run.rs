//! Boots the bench guests and collects their rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use guest_loader::solo5_build;
use qemu::Timing;

use crate::bench::ledger::Tools;
use crate::bench::lines::{self, Report};
use crate::bench::{Measured, counts};
use crate::build::Artifacts;
use crate::cli::{ConsentArgs, SystemArgs};
use crate::command::{build::build_for, run};
use crate::compose::{self, Loaded};
use crate::error::{Error, Result};
use crate::machine::{self, Limits, Observer, Outcome};
use crate::output::console::Piece;
use crate::output::record::Record;
use crate::output::status::exit_status;
use crate::repository::Repository;
use crate::suite::bare;
use crate::tools::Need;

/// The system whose guest has all rows but one, boots bare too, and takes
/// `rows=` from its command line.
const PC64: &str = "manifests/bench.toml";
/// The unikernel that has the row [`SOLO5_ROW`].
const SOLO5: &str = "guests/solo5-bench";
const SOLO5_ROW: &str = "solo5_puts";

/// Wall time that one boot may take; it takes seconds.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Rows; all that guests run unasked if empty.
    pub rows: &'a [String],
    /// Whether to count events.
    pub counts: bool,
    /// Consent and verbosity.
    pub consent: ConsentArgs,
}

/// What came out.
#[derive(Debug)]
pub struct Results {
    /// Rows in the order that guests run them.
    pub rows: Vec<Measured>,
    /// Checks of guests that failed.
    pub failures: Vec<String>,
    /// What built and ran them.
    pub tools: Tools,
    /// The kernel's hash.
    pub kernel: String,
}

/// Builds and boots.
///
/// # Errors
/// What is missing, or what the failing step said.
pub fn measure(
    repository: &Repository,
    request: Request<'_>,
    interrupted: &AtomicBool,
    progress: &dyn Fn(&str),
) -> Result<Results> {
    let needs = [Need::Build, Need::Boot];
    let limits = Limits { timeout: Some(TIMEOUT), interrupted };
    let manifest = repository.path(PC64);
    let mut loaded = load(repository, manifest)?;
    let built = build_for(repository, &loaded, false, request.consent, &needs)?;
    let bench = Bench { repository, built: &built, limits, progress };
    let mut results = bench.no_results(&loaded)?;
    let named = |name: &&String| *name != SOLO5_ROW;
    let rows: Vec<&str> = request.rows.iter().filter(named).map(String::as_str).collect();
    if request.rows.is_empty() || !rows.is_empty() {
        bench.pc64(&mut loaded, &rows, &mut results)?;
        if request.counts {
            bench.count_events(&mut loaded, &mut results.rows)?;
        }
    }
    if request.rows.is_empty() || rows.len() < request.rows.len() {
        let out = repository.target("solo5");
        let directory = repository.path(SOLO5);
        let image = solo5_build::build_program(repository.root(), &out, &directory, progress)?;
        bench.solo5(&load(repository, image)?, &mut results)?;
    }
    Ok(results)
}

fn load(repository: &Repository, system: PathBuf) -> Result<Loaded> {
    let args = SystemArgs { system: Some(system), ..SystemArgs::default() };
    compose::load(repository, &args)
}

impl Results {
    fn add(&mut self, here: &Report, rewritten: &Report, bare: &Report) {
        self.failures.extend(here.failures.iter().cloned());
        for (where_, report) in [("rewritten", rewritten), ("bare", bare)] {
            let failures = report.failures.iter();
            self.failures.extend(failures.map(|line| format!("{where_}: {line}")));
        }
        for (name, count) in &here.rows {
            self.rows.push(Measured {
                name: name.clone(),
                umbriel: *count,
                rewritten: rewritten.row(name),
                bare: bare.row(name),
                events: counts::Events::new(),
            });
        }
    }
}

/// What boots share.
struct Bench<'a> {
    repository: &'a Repository,
    built: &'a Artifacts,
    limits: Limits<'a>,
    progress: &'a dyn Fn(&str),
}

impl Bench<'_> {
    fn no_results(&self, loaded: &Loaded) -> Result<Results> {
        let profile = qemu::Profile::named(&loaded.system.machine.profile)?;
        Ok(Results {
            rows: Vec::new(),
            failures: Vec::new(),
            tools: Tools::present(self.repository, &profile.program)?,
            kernel: self.built.kernel.hash.clone(),
        })
    }

    /// The rows of the pc64 guest, `rows` or all that it runs unasked.
    fn pc64(&self, loaded: &mut Loaded, rows: &[&str], results: &mut Results) -> Result<()> {
        if !rows.is_empty() {
            select(loaded, &rows.join(","));
        }
        (self.progress)("booting the bench guest");
        let (here, _) = self.boot(loaded)?;
        (self.progress)("booting the bench guest rewritten");
        let (rewritten, _) = self.boot(&as_rewritten(loaded))?;
        (self.progress)("booting the bench guest bare");
        let bare = self.boot_bare(loaded)?;
        results.add(&here, &rewritten, &bare);
        Ok(())
    }

    /// The row of the Solo5 guest.
    fn solo5(&self, loaded: &Loaded, results: &mut Results) -> Result<()> {
        (self.progress)("booting the Solo5 bench guest");
        let (here, _) = self.boot(loaded)?;
        (self.progress)("booting the Solo5 bench guest rewritten");
        let (rewritten, _) = self.boot(&as_rewritten(loaded))?;
        results.add(&here, &rewritten, &Report::default());
        Ok(())
    }

    /// Boots every row alone to see what it counts.
    fn count_events(&self, loaded: &mut Loaded, rows: &mut [Measured]) -> Result<()> {
        // It only reads the clock, but boots and prints a line as all others do.
        select(loaded, "rdtsc");
        let (_, nothing) = self.boot(loaded)?;
        for row in rows {
            (self.progress)(&format!("counting events of {}", row.name));
            select(loaded, &row.name);
            let (_, totals) = self.boot(loaded)?;
            row.events = counts::each(&totals, &nothing, row.umbriel.iterations);
        }
        Ok(())
    }

    /// The guest's rows under Umbriel, and the totals of all counters.
    fn boot(&self, loaded: &Loaded) -> Result<(Report, BTreeMap<String, u64>)> {
        let image = compose::compose(self.repository, loaded, self.built)?;
        let name = format!("umbriel/bench/{}.elf", loaded.system.name);
        let path = self.repository.target(&name);
        compose::write_whole(&path, &image)?;
        let machine = run::machine(&loaded.system, self.built, &path, Timing::InstructionCount)?;
        let outcome = machine::run(&machine, self.limits, &mut Nobody)?;
        let guest = &loaded.system.guests[0].name;
        let status = exit_status(outcome.end, &[outcome.guests.get(guest)]);
        let output = outcome.streams.bytes(guest);
        let report = lines::parse(&output);
        if report.done && (status == 0 || !report.failures.is_empty()) {
            return Ok((report, counts::totals(&outcome.records)));
        }
        Err(ended_early(&outcome, status, &output, &machine))
    }

    fn boot_bare(&self, loaded: &Loaded) -> Result<Report> {
        let guest = &loaded.system.guests[0];
        let image = self.built.guest(&guest.source);
        let image: &Path =
            image.ok_or_else(|| Error::new(format!("{} is not built", guest.source)))?;
        let machine = bare::machine(guest, image)?;
        let (printed, status) = bare::run(&machine, &[], self.limits)?;
        let report = lines::parse(&printed);
        if report.done {
            return Ok(report);
        }
        Err(Error::new(format!(
            "the bare bench guest ended with {status:?} before it was done:\n{}\nagain: {}",
            String::from_utf8_lossy(&printed).trim_end(),
            machine.replay_command()
        )))
    }
}

/// The same system, its guest's image rewritten.
fn as_rewritten(loaded: &Loaded) -> Loaded {
    let mut loaded = Loaded { system: loaded.system.clone(), shown: loaded.shown.clone() };
    loaded.system.guests[0].rewrite = Some(true);
    loaded
}

fn select(loaded: &mut Loaded, rows: &str) {
    loaded.system.guests[0].args = vec![format!("rows={rows}")];
}

fn ended_early(outcome: &Outcome, status: u8, output: &[u8], machine: &qemu::Machine) -> Error {
    Error::new(format!(
        "the bench guest ended with status {status} before it was done (the machine: {:?}):\n{}\nagain: {}",
        outcome.end,
        String::from_utf8_lossy(output).trim_end(),
        machine.replay_command()
    ))
}

/// Nobody looks while it runs.
struct Nobody;

impl Observer for Nobody {
    fn piece(&mut self, _: &Piece) {}

    fn record(&mut self, _: &Record) {}
}
