//! Bounded fuzzing of everything that reads bytes from outside.
//!
//! Runs on the stable toolchain: `cargo fuzz run --sanitizer none`. Targets
//! are found in `fuzz/fuzz_targets`, so a new one needs no entry here.

use std::fs;

use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::suite::{Case, cargo};
use crate::tools::{self, Need};

/// The group's name.
pub const GROUP: &str = "fuzz";

/// Seconds for each target, and with `--long`.
const SECONDS: u32 = 5;
const LONG_SECONDS: u32 = 120;

/// One case for each target.
pub fn cases(repository: &Repository, long: bool) -> Vec<Case<'_>> {
    let seconds = if long { LONG_SECONDS } else { SECONDS };
    // A count bounds a fast target, the time a slow one.
    let time = format!("-max_total_time={seconds}");
    let case = |target: &String| {
        let arguments = [
            "fuzz",
            "run",
            "--sanitizer",
            "none",
            target,
            "--",
            &time,
            "-seed=1",
            "-verbosity=0",
        ];
        cargo::case(repository, GROUP, target, &arguments, Vec::new())
    };
    targets(repository).iter().map(case).collect()
}

fn targets(repository: &Repository) -> Vec<String> {
    let Ok(entries) = fs::read_dir(repository.path("fuzz/fuzz_targets")) else {
        return Vec::new();
    };
    let files = entries.flatten().map(|entry| entry.path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> = sources
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// Sees to it that cargo-fuzz and its compiler are there.
///
/// # Errors
/// What is missing.
pub fn require(yes: bool) -> Result<()> {
    tools::require(&[Need::Fuzz], yes).map_err(|error| Error::new(format!("fuzzing: {error}")))
}
