//! `cargo umbriel --version`.

use crate::build::Artifacts;
use crate::repository::Repository;

/// Prints versions of the tool and of the kernel that was built last.
pub fn print(repository: &Repository) {
    println!("umbriel {}", env!("CARGO_PKG_VERSION"));
    let edits = kernel_build::edits(repository.root()).map_or(0, |edits| edits.len());
    let kernel = |debug| match Artifacts::load(repository, debug) {
        Some(artifacts) => artifacts.kernel.hash,
        None => "not built yet".to_owned(),
    };
    let version = kernel_build::SEL4_VERSION;
    println!(
        "seL4 {version} with {edits} edits: release {}, debug {}",
        kernel(false),
        kernel(true)
    );
}
