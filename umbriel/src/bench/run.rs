//! Boots the bench guests and collects their rows.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

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

/// A system with one guest that prints rows.
struct System {
    manifest: &'static str,
    /// Whether the guest boots bare too, and takes `rows=` from its command line.
    pc64: bool,
}

const SYSTEMS: [System; 1] = [System {
    manifest: "manifests/bench.toml",
    pc64: true,
}];

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
    let mut results = None;
    for system in &SYSTEMS {
        let loaded = load(repository, system)?;
        let needs = [Need::Build, Need::Boot];
        let built = build_for(repository, &loaded, false, request.consent, &needs)?;
        let bench = Bench {
            repository,
            built: &built,
            pc64: system.pc64,
            limits: Limits {
                timeout: Some(TIMEOUT),
                interrupted,
            },
            progress,
        };
        let results = match &mut results {
            Some(results) => results,
            none => none.insert(bench.no_results(&loaded)?),
        };
        bench.measure(loaded, request, results)?;
    }
    results.ok_or_else(|| Error::new("there is nothing to measure"))
}

fn load(repository: &Repository, system: &System) -> Result<Loaded> {
    let args = SystemArgs {
        system: Some(repository.path(system.manifest)),
        ..SystemArgs::default()
    };
    compose::load(repository, &args)
}

/// One system, built.
struct Bench<'a> {
    repository: &'a Repository,
    built: &'a Artifacts,
    pc64: bool,
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

    fn measure(
        &self,
        mut loaded: Loaded,
        request: Request<'_>,
        results: &mut Results,
    ) -> Result<()> {
        if self.pc64 && !request.rows.is_empty() {
            select(&mut loaded, &request.rows.join(","));
        }
        (self.progress)(&format!("booting {}", loaded.shown));
        let (here, _) = self.boot(&loaded)?;
        results.failures.extend(here.failures.iter().cloned());
        let bare = if self.pc64 {
            (self.progress)("booting its guest bare");
            let bare = self.boot_bare(&loaded)?;
            let failures = bare.failures.iter();
            results
                .failures
                .extend(failures.map(|line| format!("bare: {line}")));
            bare
        } else {
            Report::default()
        };
        for (name, count) in &here.rows {
            results.rows.push(Measured {
                name: name.clone(),
                umbriel: *count,
                bare: bare.row(name),
                events: counts::Events::new(),
            });
        }
        if self.pc64 && request.counts {
            self.count_events(&mut loaded, &mut results.rows)?;
        }
        Ok(())
    }

    /// Boots every row alone to see what it counts.
    fn count_events(&self, loaded: &mut Loaded, rows: &mut [Measured]) -> Result<()> {
        select(loaded, ""); // a list that names nothing
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
    fn boot(&self, loaded: &Loaded) -> Result<(Report, std::collections::BTreeMap<String, u64>)> {
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
        let (printed, status) = bare::run(&machine, self.limits)?;
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
