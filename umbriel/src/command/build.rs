//! `cargo umbriel build`, and the same step inside `run`.

use crate::build::{self, Artifacts, Request};
use crate::cli::{BuildArgs, ConsentArgs};
use crate::compose::{self, Loaded};
use crate::error::Result;
use crate::output::text;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::tools::{self, Need};

/// Runs the command.
///
/// # Errors
/// What the failing step said.
pub fn execute(repository: &Repository, args: &BuildArgs) -> Result<u8> {
    let loaded = compose::load(repository, &args.system)?;
    let built =
        build_for(repository, &[&loaded], args.system.debug_kernel, args.consent, &[Need::Build])?;
    let mut text =
        format!("kernel  {}  ({})\n", repository.shown(&built.kernel.elf32), built.kernel.hash);
    for (name, path) in built.programs.iter().chain(&built.guests) {
        text += &format!("{name}  {}\n", repository.shown(path));
    }
    text::print(&text)?;
    Ok(0)
}

/// Builds everything that the systems of `loaded` need.
///
/// # Errors
/// What is missing, or what the failing step said.
pub fn build_for(
    repository: &Repository,
    loaded: &[&Loaded],
    debug_kernel: bool,
    consent: ConsentArgs,
    needs: &[Need],
) -> Result<Artifacts> {
    tools::require(needs, consent.yes)?;
    let guests = loaded.iter().flat_map(|loaded| &loaded.system.guests);
    let request = Request {
        debug_kernel,
        guests: guests.map(|guest| guest.source.clone()).collect(),
        verbose: consent.verbose,
    };
    build::build(repository, &request, &Progress::new())
}
