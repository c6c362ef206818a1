//! `cargo umbriel explore`.
//!
//! The models are a program of their own, so that the tool does not bring a
//! model checker along.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::cli::ExploreArgs;
use crate::error::{Error, Result};
use crate::output::status::OWN_ERROR;
use crate::repository::Repository;

/// Runs the command; its exit status is that of the models' program.
///
/// # Errors
/// If cargo cannot be run.
pub fn execute(repository: &Repository, args: &ExploreArgs) -> Result<u8> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command
        .current_dir(repository.root())
        .args(["run", "--quiet", "--package", "shadow-models"])
        .args(["--features", "explorer", "--"])
        .args(arguments(args));
    let status = command.status();
    let status = status.map_err(Error::io("run", Path::new("cargo")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(OWN_ERROR))
}

fn arguments(args: &ExploreArgs) -> Vec<&str> {
    match &args.model {
        None => Vec::new(),
        Some(model) if args.count => vec!["--count", model],
        Some(model) => vec!["--serve", &args.address, model],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_program_is_told_what_to_do() {
        let mut args = ExploreArgs { model: None, address: "localhost:1".to_owned(), count: false };
        assert!(arguments(&args).is_empty(), "it lists the models");
        args.model = Some("page".to_owned());
        assert_eq!(arguments(&args), ["--serve", "localhost:1", "page"]);
        args.count = true;
        assert_eq!(arguments(&args), ["--count", "page"]);
    }
}
