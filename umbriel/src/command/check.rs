//! `cargo umbriel check`.

use std::io::{IsTerminal, stderr};
use std::path::Path;

use serde_json::{Value, json};
use system::manifest::{Diagnostics, System};

use crate::cli::CheckArgs;
use crate::error::Result;
use crate::output::text;
use crate::repository::Repository;

/// Runs the command. The exit status is 0 if every manifest is sound.
///
/// # Errors
/// None at present.
pub fn execute(repository: &Repository, args: &CheckArgs) -> Result<u8> {
    let results: Vec<_> = args
        .manifests
        .iter()
        .map(|path| (path, system::manifest::load(path, Some(repository.root()))))
        .collect();
    let failed = results.iter().any(|(_, result)| result.is_err());
    if args.json {
        let all: Vec<Value> = results.iter().map(|(path, result)| record(path, result)).collect();
        text::print(&(serde_json::to_string_pretty(&all)? + "\n"))?;
    } else {
        for (path, result) in &results {
            show(path, result);
        }
    }
    Ok(u8::from(failed))
}

fn record(path: &Path, result: &std::result::Result<System, Diagnostics>) -> Value {
    let problems = match result {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.records(),
    };
    json!({ "manifest": path, "problems": problems })
}

fn show(path: &Path, result: &std::result::Result<System, Diagnostics>) {
    match result {
        Ok(system) => {
            let guests = system.guests.len();
            let noun = if guests == 1 { "guest" } else { "guests" };
            println!("{}: {guests} {noun}, sound", path.display());
        }
        Err(diagnostics) => eprintln!("{}\n", diagnostics.render(stderr().is_terminal())),
    }
}
