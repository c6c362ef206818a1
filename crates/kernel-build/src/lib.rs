//! Builds the seL4 kernel that Umbriel boots.
//!
//! The kernel's source is the tree of seL4 5.0.0 that the registry package
//! `sel4-sys` carries, locked by checksum in `sources/Cargo.lock`. A build
//! copies the tree, applies the named edits of `kernel/edits/`, writes the
//! configuration of `kernel/config/` as `autoconf.h`, runs the tree's header
//! generators, compiles and links. Nothing of the kernel lives in this
//! repository; `docs/kernel.md` describes configuration, edits and recipe.
//!
//! ```no_run
//! use kernel_build::{BuildRequest, Profile};
//! let image = kernel_build::build(&BuildRequest {
//!     repo_root: ".".as_ref(),
//!     out_dir: "target/kernel".as_ref(),
//!     profile: Profile::Release,
//!     omit_edits: &[],
//!     progress: &|step| eprintln!("{step}"),
//! })?;
//! println!("{}", image.elf32.display());
//! # Ok::<(), kernel_build::Error>(())
//! ```
//!
//! Invariants:
//! - A result is named by a hash of everything that goes into it, and appears
//!   in the output directory by one rename: it is whole or it is not there.
//! - Two builds in one output directory exclude each other by a file lock.
//! - An edit applies only if each of its `find` texts occurs exactly once, so
//!   a changed source or a clash between edits cannot pass unnoticed.
#![forbid(unsafe_code)]

mod build;
mod cache;
mod command;
mod config;
mod edits;
mod error;
mod inspect;
mod recipe;
mod sources;
mod tools;
mod tree;

pub use build::{BuildRequest, KernelImage, build};
pub use config::{Config, Profile, Setting, config};
pub use edits::{Edit, EditId, Replacement, edits};
pub use error::Error;
pub use inspect::{Finding, inspect};
pub use sources::{Package, package, sources_dir};
pub use tools::{Tool, missing_tools};

/// The kernel release whose sources are built.
pub const SEL4_VERSION: &str = "5.0.0";

/// The registry package that carries those sources.
pub const KERNEL_PACKAGE: &str = "sel4-sys";
