//! Reads a manifest and validates it.
//!
//! Job: from a TOML file and its fragments to a [`System`], or to
//! [`Diagnostics`] that name file, line, key, value, reason and remedy. Nothing
//! else in Umbriel reads manifests.
//!
//! ```text
//! files → document (typed, per file, merged) → validate → System
//! ```
//!
//! Invariants: a [`System`] has passed every rule that needs no image; every
//! rule is one [`Problem`]; one run reports as many problems as it can find.
//! The keys are in [`schema`].

mod diagnostics;
mod document;
mod guest_rules;
mod model;
mod problem;
mod reader;
pub mod reference;
pub mod schema;
mod size;
mod source;
mod text;
mod validate;
mod wording;

use std::path::Path;

pub use diagnostics::{Diagnostic, Diagnostics, Record};
pub use guest_rules::DEFAULT_GUEST_MEMORY;
pub use model::{Guest, GuestSource, Injection, Machine, Shadow, System};
pub use problem::Problem;
pub use size::{Size, SizeError};
pub use source::{At, Disk, Files, InMemory, Sources};
pub use text::for_image;
pub use wording::Wording;

/// Reads and validates the manifest `path`. `repository` is the top of the
/// repository, where `build = …` is looked up; without it that is left to the
/// builder.
///
/// # Errors
/// Every problem that was found.
pub fn load(path: &Path, repository: Option<&Path>) -> Result<System, Diagnostics> {
    load_from(&Disk, path, repository)
}

/// As [`load`], with files from elsewhere.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    files: &dyn Files,
    path: &Path,
    repository: Option<&Path>,
) -> Result<System, Diagnostics> {
    let mut loader = document::Loader::new(files);
    let document = loader.read(path, None);
    validate::validate(document, loader, path, repository)
}
