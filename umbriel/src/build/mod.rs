//! Builds what a system is made of, and remembers where it is.
//!
//! The kernel comes from `kernel_build`, Solo5's tests from `guest_loader`,
//! processes and guests of this repository from a nested cargo. What was built
//! is recorded in `target/umbriel/`, so that `compose` can pack without
//! running a compiler.

mod artifacts;
mod cargo;
mod kernel;

pub use artifacts::Artifacts;
pub use kernel::{Kernel, build as kernel, profile_named};

use std::path::PathBuf;

use system::compiled::ProgramKind;
use system::manifest::GuestSource;

use crate::error::Result;
use crate::progress::Progress;
use crate::repository::Repository;

/// The root task's package.
pub const ROOT_TASK: &str = "root-task";

/// The target of everything that is not the host.
pub const TARGET: &str = "x86_64-unknown-none";

/// Tells the bindings which kernel they are for: the directory with its
/// interface files.
pub const ABI_VARIABLE: &str = "UMBRIEL_SEL4_ABI";

/// Packages of the processes.
pub fn bare_packages() -> Vec<&'static str> {
    ProgramKind::ALL.into_iter().map(ProgramKind::name).chain([ROOT_TASK]).collect()
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whether with the debug kernel.
    pub debug_kernel: bool,
    /// Guests to build.
    pub guests: Vec<GuestSource>,
    /// Whether to show what the compilers print.
    pub verbose: bool,
}

/// Builds everything that `request` names.
///
/// # Errors
/// What the failing step said.
pub fn build(repository: &Repository, request: &Request, progress: &Progress) -> Result<Artifacts> {
    let kernel = kernel::build(repository, request.debug_kernel, progress)?;
    let mut artifacts = Artifacts::load(repository, request.debug_kernel)
        .filter(|artifacts| artifacts.kernel.hash == kernel.hash)
        .unwrap_or_else(|| Artifacts::new(kernel.clone()));
    artifacts.kernel = kernel;
    progress.step("building the processes");
    artifacts.programs = cargo::processes(repository, &artifacts.kernel, request)?;
    for source in &request.guests {
        if let Some(path) = guest(repository, source, request, progress)? {
            artifacts.guests.insert(artifacts::guest_key(source), path);
        }
    }
    artifacts.save(repository, request.debug_kernel)?;
    Ok(artifacts)
}

/// Builds a guest; `None` if it is an image file.
fn guest(
    repository: &Repository,
    source: &GuestSource,
    request: &Request,
    progress: &Progress,
) -> Result<Option<PathBuf>> {
    match source {
        GuestSource::Image(_) => Ok(None),
        GuestSource::Build(directory) => {
            progress.step(&format!("building {}", directory.display()));
            cargo::guest(repository, directory, request).map(Some)
        }
        GuestSource::Solo5Test(name) => {
            let step = |step: &str| progress.step(step);
            let out_dir = repository.target("solo5");
            Ok(Some(guest_loader::solo5_build::build_test(
                repository.root(),
                &out_dir,
                name,
                &step,
            )?))
        }
    }
}
