//! Builds the root task for one kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use kernel_build::KernelImage;

use super::Error;

/// Builds the root task with the bindings generated for `kernel`.
///
/// It has a target directory of its own, since every kernel has bindings of its
/// own and would otherwise cause the rest of the workspace to be built again.
pub(super) fn build(
    repo_root: &Path,
    out_dir: &Path,
    kernel: &KernelImage,
) -> Result<PathBuf, Error> {
    let target_dir = out_dir.join("cargo");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(repo_root)
        .args(["build", "--quiet", "--release", "--package", "kernel-probe"])
        .args(["--bin", "kernel-probe", "--target", "x86_64-unknown-none", "--target-dir"])
        .arg(&target_dir)
        .env("UMBRIEL_SEL4_ABI", &kernel.abi_dir)
        .output()
        .map_err(|source| Error::Io("run cargo", source))?;
    if !output.status.success() {
        return Err(Error::RootTask(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(target_dir.join("x86_64-unknown-none/release/kernel-probe"))
}
