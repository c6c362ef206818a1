//! `cargo umbriel test`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::build::{self, Artifacts, Request};
use crate::cli::{ConsentArgs, TestArgs};
use crate::command::run::interrupt_flag;
use crate::error::Result;
use crate::output::status::{INTERRUPTED, OWN_ERROR};
use crate::progress::Progress;
use crate::repository::Repository;
use crate::suite::boot::{self, BootTest, Built};
use crate::suite::{Case, bench, cargo, fuzz, kernel, runner};
use crate::tools::{self, Need};

/// What also runs bare, but is no part of every system.
const OTHER_BARE_PACKAGES: [&str; 15] = [
    "bench",
    "clock",
    "differential",
    "echo",
    "guest-excursion",
    "guest-runtime",
    "hello",
    "hostile",
    "kernel-model",
    "kernel-probe",
    "sensitive",
    "smp",
    "spin",
    "storm",
    "torture",
];

/// Random guests of each kind with `--long`, of about a hundred steps each: so many
/// rounds of so many. A guest's memory is not given back before its round ends.
const CAMPAIGN_ROUNDS: u32 = 20;
const CAMPAIGN_CASES: &str = "5000";

/// Runs the command. The exit status is 0 if every test passed.
///
/// # Errors
/// If the tests cannot be set up.
pub fn execute(repository: &Repository, args: &TestArgs) -> Result<u8> {
    let filter = args.filter.as_deref();
    let interrupted = interrupt_flag()?;
    let tests = boot::load(repository, |name| {
        filter.is_none_or(|filter| format!("boot/{name}").contains(filter))
    })?;
    let tests: Vec<BootTest> =
        tests.into_iter().filter(|test| args.long || !test.expected.long).collect();
    let nothing = Built::none();
    let planned = selected(all(repository, &tests, &nothing, args, &interrupted), args);
    if planned.is_empty() {
        let filter = filter.unwrap_or("");
        eprintln!(
            "umbriel: no test has {filter:?} in its name; --list shows them, --long all of them"
        );
        return Ok(OWN_ERROR);
    }
    if args.list {
        show(&planned);
        return Ok(0);
    }
    tools::require(&needs(&planned), args.consent.yes)?;
    let built = build_for(repository, &tests, args.consent)?;
    let cases = selected(all(repository, &tests, &built, args, &interrupted), args);
    let done = runner::run(&cases, &interrupted);
    let passed = runner::summarise(&done);
    if interrupted.load(Ordering::Relaxed) {
        return Ok(INTERRUPTED);
    }
    Ok(u8::from(!passed))
}

/// What must be installed for `cases`.
fn needs(cases: &[Case<'_>]) -> Vec<Need> {
    // Bindings are generated from a kernel, so every group needs one.
    let mut needs = vec![Need::Build];
    let groups: BTreeSet<&str> = cases.iter().map(|case| case.group).collect();
    for group in groups {
        needs.extend(match group {
            "lint" => &[Need::Lint][..],
            boot::GROUP => &[Need::Boot, Need::Iso],
            fuzz::GROUP => &[Need::Fuzz],
            _ => &[Need::Boot],
        });
    }
    needs
}

fn show(cases: &[Case<'_>]) {
    for case in cases {
        println!("{}{}", case.full_name(), if case.long { "  (long)" } else { "" });
    }
}

fn selected<'a>(cases: Vec<Case<'a>>, args: &TestArgs) -> Vec<Case<'a>> {
    let wanted =
        |case: &Case<'_>| case.matches(args.filter.as_deref()) && (args.long || !case.long);
    cases.into_iter().filter(wanted).collect()
}

/// Builds what the boot tests boot.
fn build_for(repository: &Repository, tests: &[BootTest], consent: ConsentArgs) -> Result<Built> {
    let progress = Progress::new();
    let build = |debug_kernel: bool| -> Result<Artifacts> {
        let wanted = tests.iter().filter(|test| test.expected.debug_kernel == debug_kernel);
        let guests = wanted.flat_map(|test| test.loaded.system.guests.iter());
        let mut guests: Vec<_> = guests.map(|guest| guest.source.clone()).collect();
        guests.sort_by_key(|source| (source.key(), source.to_string()));
        guests.dedup();
        build::build(
            repository,
            &Request { debug_kernel, guests, verbose: consent.verbose },
            &progress,
        )
    };
    let debug = tests.iter().any(|test| test.expected.debug_kernel);
    Ok(Built { release: Some(build(false)?), debug: if debug { Some(build(true)?) } else { None } })
}

/// Every case, from cheap to dear.
fn all<'a>(
    repository: &'a Repository,
    tests: &'a [BootTest],
    built: &'a Built,
    args: &TestArgs,
    interrupted: &'a AtomicBool,
) -> Vec<Case<'a>> {
    let mut cases = cargo_cases(repository, built);
    cases.push(Case {
        long: true,
        ..cargo::case(
            repository,
            "models",
            "long",
            &[
                "run",
                "--quiet",
                "--package",
                "shadow-models",
                "--features",
                "explorer",
                "--",
                "--long",
            ],
            Vec::new(),
        )
    });
    cases.extend((1..=CAMPAIGN_ROUNDS).map(|round| Case {
        long: true,
        ..cargo::case(
            repository,
            "models",
            &format!("random-guests-{round}"),
            &["test", "--package", "shadow-core", "--test", "evidence", "legal::"],
            vec![("PROPTEST_CASES".to_owned(), CAMPAIGN_CASES.into())],
        )
    }));
    cases.extend(kernel::cases(repository));
    cases.extend(boot::cases(repository, tests, built, interrupted));
    cases.extend(bench::cases(repository, args.consent, interrupted));
    cases.extend(fuzz::cases(repository, args.long));
    cases
}

fn cargo_cases<'a>(repository: &'a Repository, built: &'a Built) -> Vec<Case<'a>> {
    let abi = built.release.as_ref().map(|built| OsString::from(&built.kernel.abi_dir));
    let abi: Vec<(String, OsString)> =
        abi.into_iter().map(|directory| (build::ABI_VARIABLE.to_owned(), directory)).collect();
    let bare: Vec<&str> = build::bare_packages()
        .iter()
        .chain(&OTHER_BARE_PACKAGES)
        .flat_map(|package| ["--package", package])
        .collect();
    let bare_lints =
        [&["clippy", "--quiet", "--target", build::TARGET][..], &bare, &["--", "-D", "warnings"]]
            .concat();
    vec![
        cargo::case(repository, "lint", "format", &["fmt", "--all", "--check"], Vec::new()),
        cargo::case(
            repository,
            "lint",
            "host",
            &[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--features",
                "shadow-models/explorer",
                "--",
                "-D",
                "warnings",
            ],
            abi.clone(),
        ),
        cargo::case(repository, "lint", "bare", &bare_lints, abi.clone()),
        cargo::case(
            repository,
            "unit",
            "workspace",
            &[
                "test",
                "--workspace",
                "--exclude",
                "kernel-model",
                "--exclude",
                "kernel-probe",
                "--no-fail-fast",
            ],
            abi,
        ),
    ]
}
