//! `cargo umbriel bench`.

use std::sync::atomic::AtomicBool;

use crate::bench::ledger::{self, Ledger};
use crate::bench::peers::{Bars, Peers};
use crate::bench::run::{Request, Results, measure};
use crate::bench::table::{self, Context};
use crate::cli::BenchArgs;
use crate::command::run::interrupt_flag;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::repository::Repository;

/// Runs the command. The exit status is 1 if a check failed or a row grew.
///
/// # Errors
/// If the guests cannot be built or do not come to their end.
pub fn execute(repository: &Repository, args: &BenchArgs) -> Result<u8> {
    let (peers, bars) = (Peers::read(repository)?, Bars::read(repository)?);
    let ledger = if args.bless {
        // Whatever stands there is about to be replaced.
        Ledger::read(repository).unwrap_or_default()
    } else {
        Ledger::read(repository)?
    };
    let interrupted = interrupt_flag()?;
    let results = counted(repository, args, &interrupted)?;
    let context = Context { peers: &peers, bars: &bars, ledger: ledger.as_ref() };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&table::json(&results, context))?);
    } else {
        print!("{}", table::text(&results, context));
    }
    for failure in &results.failures {
        eprintln!("umbriel: {failure}");
    }
    if args.bless {
        return bless(repository, &results);
    }
    let regressions = if args.rows.is_empty() {
        regressions(&results, ledger.as_ref())
    } else {
        Vec::new() // a row's figure depends a little on the rows before it
    };
    for regression in &regressions {
        eprintln!("umbriel: {regression}");
    }
    Ok(u8::from(!results.failures.is_empty() || !regressions.is_empty()))
}

fn counted(repository: &Repository, args: &BenchArgs, interrupted: &AtomicBool) -> Result<Results> {
    let progress = Progress::new();
    let request =
        Request { rows: &args.rows, counts: args.counts || args.bless, consent: args.consent };
    measure(repository, request, interrupted, &|step| progress.step(step))
}

fn bless(repository: &Repository, results: &Results) -> Result<u8> {
    if !results.failures.is_empty() {
        return Err(Error::new("nothing is recorded: a check of the bench guest failed"));
    }
    let tools = results.tools.clone();
    Ledger::new(tools, results.kernel.clone(), &results.rows).write(repository)?;
    eprintln!("umbriel: wrote {}", ledger::FILE);
    Ok(0)
}

/// What has grown since the ledger; says so where that cannot be judged.
fn regressions(results: &Results, ledger: Option<&Ledger>) -> Vec<String> {
    let Some(ledger) = ledger else {
        eprintln!("umbriel: there is no {}; --bless writes it", ledger::FILE);
        return Vec::new();
    };
    if ledger.tools != results.tools {
        eprintln!(
            "umbriel: the ledger was written with other tools, so growth is only shown: {:?}",
            ledger.tools
        );
    }
    ledger.regressions(&results.tools, &results.rows)
}
