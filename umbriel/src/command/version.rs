//! `cargo umbriel --version`.

use crate::build::Artifacts;
use crate::error::Result;
use crate::output::text;
use crate::repository::Repository;

/// Prints versions of the tool and of the kernel that was built last.
///
/// # Errors
/// If standard output fails.
pub fn print(repository: &Repository) -> Result<()> {
    let edits = kernel_build::edits(repository.root()).map_or(0, |edits| edits.len());
    let kernel = |debug| match Artifacts::load(repository, debug) {
        Some(artifacts) => artifacts.kernel.hash,
        None => "not built yet".to_owned(),
    };
    text::print(&format!(
        "umbriel {}\nseL4 {} with {edits} edits: release {}, debug {}\n",
        env!("CARGO_PKG_VERSION"),
        kernel_build::SEL4_VERSION,
        kernel(false),
        kernel(true),
    ))
}
