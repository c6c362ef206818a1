//! `bench/ledger.json`: the figures that were accepted last.
//!
//! Instruction counts repeat exactly as long as compilers and QEMU are the
//! same, so growth is a change of ours. With other tools it is only shown.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::bench::Measured;
use crate::bench::lines::Count;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Where it is.
pub const FILE: &str = "bench/ledger.json";
/// Growth of a row that fails.
const TOLERANCE: f64 = 0.02;

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// What built and ran the system.
    pub tools: Tools,
    /// Hash of the kernel.
    pub kernel: String,
    /// Rows by name.
    pub rows: BTreeMap<String, Entry>,
}

/// Programs that figures depend on, as they name themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// Compiler of the processes.
    pub rustc: String,
    /// Compiler of the kernel.
    pub gcc: String,
    /// The machine.
    pub qemu: String,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// How often the operation was done.
    pub iterations: u64,
    /// Instructions of all of them.
    pub instructions: u64,
    /// Instructions of all of them in a rewritten image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<u64>,
    /// Instructions on the bare machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<u64>,
    /// Events an operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, f64>,
}

impl Entry {
    fn each(&self) -> f64 {
        self.count(self.instructions).each()
    }

    fn rewritten_each(&self) -> Option<f64> {
        Some(self.count(self.rewritten?).each())
    }

    const fn count(&self, instructions: u64) -> Count {
        Count { iterations: self.iterations, instructions }
    }
}

impl Tools {
    /// Asks the programs.
    ///
    /// # Errors
    /// If one cannot be asked.
    pub fn present(repository: &Repository, qemu: &str) -> Result<Tools> {
        let ask = |program: &str| version(repository.root(), program);
        Ok(Tools { rustc: ask("rustc")?, gcc: ask("gcc")?, qemu: ask(qemu)? })
    }
}

/// The first line of what `program` says about its version.
fn version(directory: &Path, program: &str) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .current_dir(directory) // rustup chooses the compiler by directory
        .output()
        .map_err(Error::io("run", Path::new(program)))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl Ledger {
    /// What was measured now.
    pub fn new(tools: Tools, kernel: String, measured: &[Measured]) -> Ledger {
        let entry = |row: &Measured| {
            let entry = Entry {
                iterations: row.umbriel.iterations,
                instructions: row.umbriel.instructions,
                rewritten: row.rewritten.map(|rewritten| rewritten.instructions),
                bare: row.bare.map(|bare| bare.instructions),
                events: row.events.clone(),
            };
            (row.name.clone(), entry)
        };
        Ledger { tools, kernel, rows: measured.iter().map(entry).collect() }
    }

    /// Reads the file; `None` if there is none yet.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(repository: &Repository) -> Result<Option<Ledger>> {
        let path = repository.path(FILE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                Error::new(format!("{FILE}: {error}; `cargo umbriel bench --bless` writes it anew"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, repository: &Repository) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        crate::compose::write_whole(&repository.path(FILE), &text)
    }

    /// How much row `name` has grown from here to `count`: 0.02 is two percent.
    pub fn growth(&self, name: &str, count: Count) -> Option<f64> {
        let before = self.rows.get(name)?.each();
        Some(count.each() / before - 1.0)
    }

    /// What speaks against `measured`, one line each; nothing if other tools
    /// than the recorded ones were at work.
    pub fn regressions(&self, tools: &Tools, measured: &[Measured]) -> Vec<String> {
        if self.tools != *tools {
            return Vec::new();
        }
        let grown = measured.iter().flat_map(|row| {
            let entry = self.rows.get(&row.name);
            let plain = entry.map(Entry::each).zip(Some(row.umbriel));
            let rewritten = entry.and_then(Entry::rewritten_each).zip(row.rewritten);
            let name = &row.name;
            [
                plain.and_then(|(before, now)| grown(name, before, now)),
                rewritten
                    .and_then(|(before, now)| grown(&format!("{name} rewritten"), before, now)),
            ]
        });
        grown.flatten().collect()
    }
}

/// What is to be said if `name` took `before` instructions and takes too many more now.
fn grown(name: &str, before: f64, now: Count) -> Option<String> {
    let (now, growth) = (now.each(), now.each() / before - 1.0);
    (growth > TOLERANCE).then(|| {
        format!("{name} has grown by {:.1} %, from {before:.1} to {now:.1}", 100.0 * growth)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(rustc: &str) -> Tools {
        Tools { rustc: rustc.into(), gcc: "gcc 12".into(), qemu: "QEMU 7.2".into() }
    }

    fn row(instructions: u64) -> Measured {
        let count = |instructions| Count { iterations: 100, instructions };
        Measured {
            name: "cpuid".into(),
            umbriel: count(instructions),
            rewritten: Some(count(instructions / 2)),
            bare: Some(count(500)),
            events: BTreeMap::from([("faults".to_owned(), 1.5)]),
        }
    }

    fn ledger() -> Ledger {
        Ledger::new(tools("1.95"), "abc".into(), &[row(10_000)])
    }

    #[test]
    fn growth_beyond_the_tolerance_is_a_regression() {
        assert_eq!(ledger().regressions(&tools("1.95"), &[row(10_190)]), [""; 0]);
        let regressions = ledger().regressions(&tools("1.95"), &[row(10_300)]);
        assert_eq!(
            regressions,
            [
                "cpuid has grown by 3.0 %, from 100.0 to 103.0",
                "cpuid rewritten has grown by 3.0 %, from 50.0 to 51.5"
            ]
        );
    }

    #[test]
    fn other_tools_are_no_regression() {
        assert_eq!(ledger().regressions(&tools("1.96"), &[row(20_000)]), [""; 0]);
        assert!(ledger().growth("cpuid", row(20_000).umbriel).unwrap() > 0.9);
        assert_eq!(ledger().growth("new", row(1).umbriel), None);
    }

    #[test]
    fn the_file_says_what_was_measured() {
        let text = serde_json::to_string(&ledger()).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger());
    }
}
