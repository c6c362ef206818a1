//! The kernel of a system.

use std::path::PathBuf;

use kernel_build::{BuildRequest, Profile};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::progress::Progress;
use crate::repository::Repository;

/// A built kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// 64-bit ELF, for GRUB.
    pub elf: PathBuf,
    /// 32-bit ELF, for `qemu -kernel`.
    pub elf32: PathBuf,
    /// What the bindings are generated from.
    pub abi_dir: PathBuf,
    /// Names everything that went into it.
    pub hash: String,
}

/// The configuration for `--debug-kernel` or without.
pub fn profile_named(debug: bool) -> Profile {
    if debug { Profile::Debug } else { Profile::Release }
}

/// Builds the kernel, or finds it built.
///
/// # Errors
/// As [`kernel_build::build`].
pub fn build(repository: &Repository, debug: bool, progress: &Progress) -> Result<Kernel> {
    let image = kernel_build::build(&BuildRequest {
        repo_root: repository.root(),
        out_dir: &repository.target("kernel"),
        profile: profile_named(debug),
        omit_edits: &[],
        progress: &|step| progress.step(&format!("kernel: {step}")),
    })?;
    Ok(Kernel { elf: image.elf, elf32: image.elf32, abi_dir: image.abi_dir, hash: image.hash })
}
