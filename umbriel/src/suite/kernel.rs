//! Tests of the kernel's edits: each has a boot of the probe that fails
//! without it, or a check of the built image.

use std::sync::atomic::AtomicBool;

use crate::repository::Repository;
use crate::suite::Case;

/// The group's name.
pub const GROUP: &str = "kernel";

/// The cases.
pub fn cases<'a>(_repository: &'a Repository, _interrupted: &'a AtomicBool) -> Vec<Case<'a>> {
    let _ = GROUP;
    Vec::new()
}
