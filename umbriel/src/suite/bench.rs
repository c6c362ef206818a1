//! The cost ledger as a test: no row has grown since it was accepted.

use std::sync::atomic::AtomicBool;

use crate::bench::ledger::{FILE, Ledger};
use crate::bench::run::{Request, measure};
use crate::cli::ConsentArgs;
use crate::error::Result;
use crate::repository::Repository;
use crate::suite::{Case, Verdict};

/// The group's name.
const GROUP: &str = "bench";

/// The cases.
pub fn cases<'a>(
    repository: &'a Repository,
    consent: ConsentArgs,
    interrupted: &'a AtomicBool,
) -> Vec<Case<'a>> {
    vec![Case {
        group: GROUP,
        name: "ledger".to_owned(),
        long: false,
        parallel: false,
        work: Box::new(move || {
            judge(repository, consent, interrupted)
                .unwrap_or_else(|error| Verdict::fail(error.to_string()))
        }),
    }]
}

fn judge(
    repository: &Repository,
    consent: ConsentArgs,
    interrupted: &AtomicBool,
) -> Result<Verdict> {
    let request = Request { rows: &[], counts: false, consent };
    let results = measure(repository, request, interrupted, &|_| ())?;
    let mut problems = results.failures.clone();
    let regressions = match Ledger::read(repository)? {
        Some(ledger) => ledger.regressions(&results.tools, &results.rows),
        None => vec![format!("there is no {FILE}")],
    };
    if !regressions.is_empty() {
        problems.extend(regressions);
        problems.push("if that is meant: cargo umbriel bench --bless".to_owned());
    }
    Ok(if problems.is_empty() {
        Verdict { passed: results.rows.len(), failed: 0, text: String::new() }
    } else {
        Verdict::fail(problems.join("\n"))
    })
}
