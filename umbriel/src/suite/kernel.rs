//! Tests of the kernel. Its edits: the probe boots on a kernel with all of them
//! and, in the long run, on one without each. The model of it that host tests
//! use: it does the same as the kernel does.

use crate::repository::Repository;
use crate::suite::{Case, cargo};

/// The group's name.
const GROUP: &str = "kernel";

/// The cases.
pub fn cases(repository: &Repository) -> Vec<Case<'_>> {
    let probe = ["test", "--package", "kernel-probe"];
    let each = [&probe[..], &["--", "--ignored"]].concat();
    let model = ["test", "--package", "kernel-model"];
    let model_at_length = [&model[..], &["--", "--ignored"]].concat();
    vec![
        cargo::case(repository, GROUP, "edits", &probe, Vec::new()),
        Case {
            long: true,
            ..cargo::case(repository, GROUP, "without-each-edit", &each, Vec::new())
        },
        cargo::case(repository, GROUP, "model", &model, Vec::new()),
        Case {
            long: true,
            ..cargo::case(repository, GROUP, "model-at-length", &model_at_length, Vec::new())
        },
    ]
}
