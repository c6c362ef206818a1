//! The host side: which kernels to build, and what is expected of each.

mod boot;
mod error;
mod probe_image;
mod report;

use std::path::Path;

use kernel_build::{BuildRequest, EditId, KernelImage, Profile};

pub use error::Error;
pub use report::{Finding, Report, State};

/// Which kernels to probe, and where.
pub struct Options<'a> {
    /// The repository.
    pub repo_root: &'a Path,
    /// Where kernels and the root task are built. Apart from the kernel that the
    /// rest of the system uses: bindings take the newest kernel they find.
    pub out_dir: &'a Path,
    /// Also probe one kernel per edit, each without that edit.
    pub long: bool,
    /// Called with a short phrase as each step begins.
    pub progress: &'a dyn Fn(&str),
}

/// Probes the kernel with all edits and, in the long run, without each.
///
/// The reports say what was found; [`Report::unexpected`] what should not be so.
///
/// # Errors
/// [`Error`] if a kernel or the root task cannot be built, or QEMU not started.
pub fn run_all(options: &Options<'_>) -> Result<Vec<Report>, Error> {
    let mut reports = vec![probe(options, None)?];
    if options.long {
        for edit in kernel_build::edits(options.repo_root)? {
            reports.push(probe(options, Some(edit.id))?);
        }
    }
    Ok(reports)
}

/// Probes one kernel.
fn probe(options: &Options<'_>, omitted: Option<EditId>) -> Result<Report, Error> {
    let name = match omitted {
        None => "kernel with all edits".to_owned(),
        Some(edit) => format!("kernel without {edit}"),
    };
    let say = |step: &str| (options.progress)(&format!("{name}: {step}"));
    let kernel = kernel(options, omitted, &say)?;
    say("building the root task");
    let root_task = probe_image::build(options.repo_root, options.out_dir, &kernel)?;
    say("booting");
    let boot = boot::boot(&kernel.elf32, &root_task)?;
    let edits = kernel_build::edits(options.repo_root)?;
    let ids = edits.iter().map(|edit| edit.id);
    let image = kernel_build::inspect(&kernel)?;
    Ok(Report::new(omitted, ids, &boot, &image))
}

fn kernel(
    options: &Options<'_>,
    omitted: Option<EditId>,
    say: &dyn Fn(&str),
) -> Result<KernelImage, Error> {
    let image = kernel_build::build(&BuildRequest {
        repo_root: options.repo_root,
        out_dir: &options.out_dir.join("kernels"),
        profile: Profile::Release,
        omit_edits: omitted.as_slice(),
        progress: say,
    })?;
    Ok(image)
}
