//! The command-line tool: one door to building, booting and testing.
//!
//! `cargo umbriel COMMAND` runs it (an alias in `.cargo/config.toml`). It
//! finds the checkout that it was built from, so it works in any directory.

#![forbid(unsafe_code)]

mod bench;
mod build;
mod cli;
mod command;
mod compose;
mod error;
mod input;
mod machine;
mod output;
mod progress;
mod repository;
mod suite;
mod tools;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::output::status::OWN_ERROR;
use crate::repository::Repository;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { OWN_ERROR } else { 0 });
        }
    };
    match execute(cli) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("umbriel: {error}");
            ExitCode::from(OWN_ERROR)
        }
    }
}

fn execute(cli: Cli) -> error::Result<u8> {
    let repository = Repository::find();
    if cli.version {
        command::version::print(&repository)?;
        return Ok(0);
    }
    match cli.command {
        Some(Command::Run(args)) => command::run::execute(&repository, &args),
        Some(Command::Build(args)) => command::build::execute(&repository, &args),
        Some(Command::Compose(args)) => command::compose::execute(&repository, &args),
        Some(Command::Check(args)) => command::check::execute(&repository, &args),
        Some(Command::Inspect(args)) => command::inspect::execute(&args),
        Some(Command::Kernel(args)) => command::kernel::execute(&repository, &args),
        Some(Command::Test(args)) => command::test::execute(&repository, &args),
        Some(Command::Explore(args)) => command::explore::execute(&repository, &args),
        Some(Command::Bench(args)) => command::bench::execute(&repository, &args),
        None => {
            Cli::command().print_help()?;
            Ok(OWN_ERROR)
        }
    }
}
