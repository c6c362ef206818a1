//! Tests of the kernel's edits: the probe boots on a kernel with all of them
//! and, in the long run, on one without each.

use crate::repository::Repository;
use crate::suite::{Case, cargo};

/// The group's name.
const GROUP: &str = "kernel";

/// The cases.
pub fn cases(repository: &Repository) -> Vec<Case<'_>> {
    let probe = ["test", "--package", "kernel-probe"];
    let each = [&probe[..], &["--", "--ignored"]].concat();
    vec![
        cargo::case(repository, GROUP, "edits", &probe, Vec::new()),
        Case {
            long: true,
            ..cargo::case(repository, GROUP, "without-each-edit", &each, Vec::new())
        },
    ]
}
