//! `cargo umbriel compose`.

use std::fs;
use std::path::Path;

use qemu::Timing;

use crate::build::Artifacts;
use crate::cli::ComposeArgs;
use crate::command::run;
use crate::compose::{self, Loaded, iso};
use crate::error::{Error, Result};
use crate::repository::Repository;
use crate::tools::{self, Need};

/// Runs the command.
///
/// # Errors
/// What is not built, does not fit, or cannot be written.
pub fn execute(repository: &Repository, args: &ComposeArgs) -> Result<u8> {
    let loaded = compose::load(repository, &args.system)?;
    tools::require(&[Need::Iso], args.consent.yes)?;
    let built = Artifacts::load(repository, args.system.debug_kernel).ok_or_else(|| {
        let debug = if args.system.debug_kernel { " --debug-kernel" } else { "" };
        Error::new(format!(
            "nothing is built yet, and compose runs no compiler; `cargo umbriel build {}{debug}` builds what it packs",
            loaded.shown
        ))
    })?;
    write(repository, &loaded, &built, &args.output)?;
    print!("{}", how_to_boot(repository, &loaded, &built, &args.output)?);
    Ok(0)
}

/// Writes `kernel32.elf`, `umbriel.elf` and `umbriel.iso` into `directory`.
///
/// # Errors
/// What is not built, does not fit, or cannot be written.
pub fn write(
    repository: &Repository,
    loaded: &Loaded,
    built: &Artifacts,
    directory: &Path,
) -> Result<()> {
    let image = compose::compose(repository, loaded, built)?;
    let kernel = fs::read(&built.kernel.elf32).map_err(Error::io("read", &built.kernel.elf32))?;
    compose::write_whole(&directory.join("kernel32.elf"), &kernel)?;
    compose::write_whole(&directory.join("umbriel.elf"), &image)?;
    iso::write(&directory.join("umbriel.iso"), &built.kernel.elf, &image)
}

fn how_to_boot(
    repository: &Repository,
    loaded: &Loaded,
    built: &Artifacts,
    directory: &Path,
) -> Result<String> {
    let shown = |name: &str| repository.shown(&directory.join(name));
    let mut direct =
        run::machine(&loaded.system, built, &directory.join("umbriel.elf"), Timing::RealTime)?;
    if let qemu::Boot::Kernel { kernel, .. } = &mut direct.boot {
        *kernel = directory.join("kernel32.elf");
    }
    let mut from_cd = direct.clone();
    from_cd.boot = qemu::Boot::Iso(directory.join("umbriel.iso"));
    Ok(format!(
        "kernel {} and image {} boot with\n  {}\n{} boots with\n  {}\n",
        shown("kernel32.elf"),
        shown("umbriel.elf"),
        direct.replay_command(),
        shown("umbriel.iso"),
        from_cd.replay_command(),
    ))
}
