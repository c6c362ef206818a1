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

/// A system whose guest takes `rows=` from its command line.
#[derive(Clone, Copy, Debug)]
struct Pc64 {
    manifest: &'static str,
    /// What it is to people.
    name: &'static str,
    /// Whether it boots bare too.
    bare: bool,
    /// The row whose events are not those of a row's operation: it boots, prints a
    /// line, and does what comes before each operation.
    without: fn(&str) -> &'static str,
}

/// Has all rows that nobody else has.
const PC64: Pc64 = Pc64 {
    manifest: "manifests/bench.toml",
    name: "the bench guest",
    bare: true,
    without: |_| "rdtsc", // it only reads the clock
};

/// Has the rows [`INTERRUPT_ROWS`]; QEMU's bare machine has no x2APIC.
const INTERRUPTS: Pc64 = Pc64 {
    manifest: "manifests/bench-interrupts.toml",
    name: "the bench guest with two vCPUs",
    bare: false,
    without: |row| match row {
        // Before each of these operations, this one.
        "ipi_asleep" | "ipi_spinning" | "shootdown_asleep" | "shootdown_spinning" => "hlt_wake",
        _ => "nothing",
    },
};
const INTERRUPT_ROWS: [&str; 7] = [
    "hlt_wake",
    "interrupt_spinning",
    "eoi",
    "ipi_asleep",
    "shootdown_asleep",
    "ipi_spinning",
    "shootdown_spinning",
];

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
    let wanted = Wanted::of(request.rows);
    let guests = [(PC64, wanted.pc64), (INTERRUPTS, wanted.interrupts)];
    let mut systems = Vec::new();
    for (guest, rows) in guests {
        systems.push((load(repository, repository.path(guest.manifest))?, guest, rows));
    }
    let loaded: Vec<&Loaded> = systems.iter().map(|(loaded, ..)| loaded).collect();
    let built = build_for(repository, &loaded, false, request.consent, &needs)?;
    let bench = Bench { repository, built: &built, limits, progress };
    let mut results = bench.no_results(&systems[0].0)?;
    for (loaded, guest, rows) in &mut systems {
        if let Some(rows) = rows {
            bench.pc64(loaded, *guest, rows, request.counts, &mut results)?;
        }
    }
    if wanted.solo5 {
        let out = repository.target("solo5");
        let directory = repository.path(SOLO5);
        let image = solo5_build::build_program(repository.root(), &out, &directory, progress)?;
        bench.solo5(&load(repository, image)?, &mut results)?;
    }
    Ok(results)
}

/// Whose rows are wanted.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    /// Rows of [`PC64`], all that it runs unasked if empty; `None` for no boot.
    pc64: Option<Vec<&'a str>>,
    /// Rows of [`INTERRUPTS`], likewise.
    interrupts: Option<Vec<&'a str>>,
    /// The row of [`SOLO5`].
    solo5: bool,
}

impl<'a> Wanted<'a> {
    /// Shares `rows` out, where none are all. A row that nobody has is left to
    /// [`PC64`]'s guest, which says so.
    fn of(rows: &'a [String]) -> Wanted<'a> {
        if rows.is_empty() {
            return Wanted { pc64: Some(vec![]), interrupts: Some(vec![]), solo5: true };
        }
        let rows = || rows.iter().map(String::as_str);
        let (interrupts, others): (Vec<&str>, Vec<&str>) =
            rows().filter(|row| *row != SOLO5_ROW).partition(|row| INTERRUPT_ROWS.contains(row));
        let some = |rows: Vec<&'a str>| (!rows.is_empty()).then_some(rows);
        Wanted {
            pc64: some(others),
            interrupts: some(interrupts),
            solo5: rows().any(|row| row == SOLO5_ROW),
        }
    }
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

    /// The rows of `guest`, `rows` or all that it runs unasked, with events or not.
    fn pc64(
        &self,
        loaded: &mut Loaded,
        guest: Pc64,
        rows: &[&str],
        count_events: bool,
        results: &mut Results,
    ) -> Result<()> {
        if !rows.is_empty() {
            select(loaded, &rows.join(","));
        }
        (self.progress)(&format!("booting {}", guest.name));
        let (here, _) = self.boot(loaded)?;
        (self.progress)(&format!("booting {} rewritten", guest.name));
        let (rewritten, _) = self.boot(&as_rewritten(loaded))?;
        let bare = if guest.bare {
            (self.progress)(&format!("booting {} bare", guest.name));
            self.boot_bare(loaded)?
        } else {
            Report::default()
        };
        let first = results.rows.len();
        results.add(&here, &rewritten, &bare);
        if count_events {
            self.count_events(loaded, guest, &mut results.rows[first..])?;
        }
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
    fn count_events(&self, loaded: &mut Loaded, guest: Pc64, rows: &mut [Measured]) -> Result<()> {
        let mut counted = BTreeMap::new();
        for row in rows {
            let without = (guest.without)(&row.name);
            for name in [without, &row.name] {
                if !counted.contains_key(name) {
                    (self.progress)(&format!("counting events of {name}"));
                    select(loaded, name);
                    let (_, totals) = self.boot(loaded)?;
                    counted.insert(name.to_owned(), totals);
                }
            }
            row.events =
                counts::each(&counted[&row.name], &counted[without], row.umbriel.iterations);
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

/// Asks the guest for `rows` alone; its other arguments stay.
fn select(loaded: &mut Loaded, rows: &str) {
    let args = &mut loaded.system.guests[0].args;
    args.retain(|arg| !arg.starts_with("rows="));
    args.push(format!("rows={rows}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|&row| row.to_owned()).collect()
    }

    #[test]
    fn without_names_all_guests_run_all_they_have() {
        let all = Wanted { pc64: Some(vec![]), interrupts: Some(vec![]), solo5: true };
        assert_eq!(Wanted::of(&[]), all);
    }

    #[test]
    fn a_named_row_boots_the_guest_that_has_it_and_no_other() {
        let rows = names(&["eoi", "cpuid", "no_such_row", "hlt_wake"]);
        assert_eq!(
            Wanted::of(&rows),
            Wanted {
                pc64: Some(vec!["cpuid", "no_such_row"]),
                interrupts: Some(vec!["eoi", "hlt_wake"]),
                solo5: false,
            }
        );
        let rows = names(&[SOLO5_ROW]);
        assert_eq!(Wanted::of(&rows), Wanted { pc64: None, interrupts: None, solo5: true });
    }

    #[test]
    fn rows_that_peers_do_not_have_say_what_an_operation_is() {
        let bars = crate::bench::peers::Bars::read(&Repository::find()).unwrap();
        for row in INTERRUPT_ROWS.iter().chain([&SOLO5_ROW]) {
            assert!(bars.operation(row).is_some(), "{row}");
        }
    }

    #[test]
    fn rows_are_selected_beside_other_arguments() {
        let repository = Repository::find();
        let manifest = repository.path(INTERRUPTS.manifest);
        let mut loaded = load(&repository, manifest).unwrap();
        select(&mut loaded, "eoi,hlt_wake");
        select(&mut loaded, "eoi");
        assert_eq!(loaded.system.guests[0].args, ["cost", "rows=eoi"]);
    }
}
