//! Bounded fuzzing of everything that reads bytes from outside.
//!
//! The targets are those of `cargo fuzz`, built here with the same flags as by
//! `cargo fuzz build --sanitizer none`: that works on the stable toolchain, and
//! spares a bare machine the installation of cargo-fuzz. Targets are found in
//! `fuzz/fuzz_targets`, so a new one needs no entry here.

use std::env::consts::ARCH;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::repository::Repository;
use crate::suite::cargo::{case, command_case};
use crate::suite::{Case, Verdict};

/// The group's name.
pub const GROUP: &str = "fuzz";

/// Seconds for each target, and with `--long`.
const SECONDS: u32 = 5;
const LONG_SECONDS: u32 = 120;

/// Coverage counters and comparison hooks for libFuzzer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// The build, and one case for each target.
pub fn cases(repository: &Repository, long: bool) -> Vec<Case<'_>> {
    let seconds = if long { LONG_SECONDS } else { SECONDS };
    let mut cases = vec![build(repository)];
    for target in targets(repository) {
        let name = target.clone();
        let run = command_case(GROUP, &name, move || fuzzer(repository, &target, seconds));
        cases.push(Case {
            // A fuzzer keeps one processor busy.
            parallel: true,
            work: with_directory(results(repository, &name), run.work),
            ..run
        });
    }
    cases
}

/// Instruments for the host by name: flags for a named target leave build
/// scripts alone.
fn host() -> String {
    format!("{ARCH}-unknown-linux-gnu")
}

fn build(repository: &Repository) -> Case<'_> {
    let target_directory = repository.target("fuzz").display().to_string();
    let arguments = ["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bins"];
    let place = ["--target", &host(), "--target-dir", &target_directory];
    let flags = vec![("RUSTFLAGS".to_owned(), FLAGS.into())];
    case(repository, GROUP, "build", &[&arguments[..], &place].concat(), flags)
}

fn fuzzer(repository: &Repository, target: &str, seconds: u32) -> Command {
    let results = results(repository, target);
    let mut command =
        Command::new(repository.target("fuzz").join(host()).join("release").join(target));
    command
        .current_dir(repository.root())
        .arg(results.join("corpus"))
        .arg(format!("-artifact_prefix={}/", results.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-seed=1", "-verbosity=0"]);
    command
}

/// Where a target's corpus and the inputs that break it are kept.
fn results(repository: &Repository, target: &str) -> PathBuf {
    repository.target(&format!("umbriel/fuzz/{target}"))
}

type Work<'a> = Box<dyn Fn() -> Verdict + Send + Sync + 'a>;

/// `work`, once the directory for its corpus is there.
fn with_directory(results: PathBuf, work: Work<'_>) -> Work<'_> {
    Box::new(move || match fs::create_dir_all(results.join("corpus")) {
        Ok(()) => work(),
        Err(error) => Verdict::fail(format!("cannot create {}: {error}", results.display())),
    })
}

fn targets(repository: &Repository) -> Vec<String> {
    let Ok(entries) = fs::read_dir(repository.path("fuzz/fuzz_targets")) else {
        return Vec::new();
    };
    let files = entries.flatten().map(|entry| entry.path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}
