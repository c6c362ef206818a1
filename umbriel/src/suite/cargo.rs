//! Cases that are calls of cargo and other programs: format, lints, unit tests.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::repository::Repository;
use crate::suite::{Case, Verdict};

/// Lines of a failing command's output that are shown.
const SHOWN: usize = 60;

/// A case that runs `cargo` with `arguments` and passes if that succeeds.
pub fn case<'a>(
    repository: &'a Repository,
    group: &'static str,
    name: &str,
    arguments: &[&str],
    environment: Vec<(String, OsString)>,
) -> Case<'a> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    command_case(group, name, move || {
        let mut command =
            Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        command.current_dir(repository.root()).args(&arguments);
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
    })
}

/// A case that runs a command and passes if that succeeds.
pub fn command_case<'a>(
    group: &'static str,
    name: &str,
    command: impl Fn() -> Command + Send + Sync + 'a,
) -> Case<'a> {
    let work = Box::new(move || run(command()));
    Case { group, name: name.to_owned(), long: false, parallel: false, work }
}

fn run(mut command: Command) -> Verdict {
    command.stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Verdict::fail(format!("cannot run {command:?}: {error}")),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let (passed, failed) = counts(&stdout);
    if output.status.success() && !ran_nothing(&stdout) {
        return Verdict { passed: passed.max(1), failed, text: String::new() };
    }
    let said = [&*stdout, &*String::from_utf8_lossy(&output.stderr)].concat();
    let lines: Vec<&str> = said.lines().filter(|line| tells(line)).collect();
    let shown = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    let text = format!("this command failed, or ran no test:\n{command:?}\n{shown}");
    Verdict { passed, failed: failed.max(1), text }
}

/// Whether tests were to run, and the filter left none: one was renamed.
fn ran_nothing(stdout: &str) -> bool {
    stdout.contains("test result:") && counts(stdout) == (0, 0)
}

/// Whether a line of cargo's output says something about a failure.
fn tells(line: &str) -> bool {
    const SILENT: [&str; 9] = [
        "Compiling ",
        "Checking ",
        "Downloading ",
        "Downloaded ",
        "Finished ",
        "Running ",
        "Doc-tests ",
        "running ",
        "test result: ok",
    ];
    let line = line.trim();
    let passed =
        line.starts_with("test ") && (line.ends_with("... ok") || line.ends_with("... ignored"));
    !(line.is_empty() || passed || SILENT.iter().any(|start| line.starts_with(start)))
}

/// The sums of all `test result:` lines.
fn counts(stdout: &str) -> (usize, usize) {
    let number = |line: &str, word: &str| -> usize {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|found| found.trim_end_matches(';') == word);
        at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
    };
    let results = stdout.lines().filter(|line| line.trim_start().starts_with("test result:"));
    results.fold((0, 0), |(passed, failed), line| {
        (passed + number(line, "passed"), failed + number(line, "failed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_what_is_shown() {
        let all = "   Compiling x86 v0.1.0\n     Running tests/a.rs (target/a)\nrunning 2 tests\n\
            test a ... ok\ntest b ... FAILED\nthread 'b' panicked at src/a.rs:3\n\n\
            test result: FAILED. 1 passed; 1 failed\n   Doc-tests x86\n";
        let shown: Vec<&str> = all.lines().filter(|line| tells(line)).collect();
        assert_eq!(
            shown,
            [
                "test b ... FAILED",
                "thread 'b' panicked at src/a.rs:3",
                "test result: FAILED. 1 passed; 1 failed"
            ]
        );
    }

    #[test]
    fn results_are_summed() {
        let stdout = "running 2 tests\n..\n\
            test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        assert_eq!(counts(stdout), (15, 1));
        assert_eq!(counts("Finished"), (0, 0));
        let filtered =
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n";
        assert!(ran_nothing(filtered) && !ran_nothing(stdout) && !ran_nothing("Finished"));
    }
}
