//! Boots the kernel with all edits, and with `--ignored` also without each.
#![cfg(not(target_os = "none"))]

use std::path::Path;

use kernel_probe::{Options, run_all};

fn check(long: bool) {
    let repo_root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("repository");
    let reports = run_all(&Options {
        repo_root: &repo_root,
        out_dir: &Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel-probe"),
        long,
        progress: &|step| eprintln!("{step}"),
    })
    .expect("probes run");
    let mut unexpected = Vec::new();
    for report in &reports {
        eprintln!("omitted: {:?}", report.omitted);
        for finding in &report.findings {
            eprintln!("  {finding}");
        }
        unexpected.extend(report.unexpected());
    }
    assert_eq!(unexpected, Vec::<String>::new());
}

#[test]
fn every_edit_is_present() {
    check(false);
}

/// Builds fourteen kernels: some minutes.
#[test]
#[ignore = "builds and boots fourteen kernels; run with --ignored, or by the tool's long tests"]
fn every_edit_is_missed_from_a_kernel_without_it() {
    check(true);
}
