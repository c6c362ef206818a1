//! A guest's image, read and placed.

use std::fs;
use std::path::PathBuf;

use guest_loader::{Image, Options, PlacedGuest, Refusal};
use system::compile::{GuestLoad, GuestPayload};
use system::compiled::GpaRange;
use system::manifest::{GuestSource, Problem};

use crate::build::Artifacts;
use crate::compose::{Loaded, refusal};
use crate::error::{Error, Result};
use crate::repository::Repository;

/// The payload of guest number `index`.
///
/// # Errors
/// The place in the manifest and what is wrong with the image, or that it is
/// not built.
pub fn payload(
    repository: &Repository,
    loaded: &Loaded,
    index: usize,
    artifacts: &Artifacts,
) -> Result<GuestPayload> {
    let guest = &loaded.system.guests[index];
    let path = image_file(loaded, &guest.source, artifacts)?;
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let image = Image { name: &repository.shown(&path), bytes: &bytes };
    let options = |platform| Options {
        memory_bytes: guest.memory_bytes,
        arguments: guest.args.clone(),
        devices: Vec::new(),
        vcpus: guest.vcpus,
        rewrite: guest.rewrites(platform),
    };
    let placed = match guest.platform {
        Some(platform) => Ok(platform),
        None => guest_loader::detect(&image),
    }
    .and_then(|platform| guest_loader::place(&image, platform, &options(platform)));
    match placed {
        Ok(placed) => Ok(convert(placed)),
        Err(refused) => Err(refusal(&loaded.system.refuse_guest(index, problem(&refused)))),
    }
}

fn image_file(loaded: &Loaded, source: &GuestSource, artifacts: &Artifacts) -> Result<PathBuf> {
    if let GuestSource::Image(path) = source {
        return Ok(path.clone());
    }
    artifacts.guest(source).cloned().ok_or_else(|| {
        Error::new(format!(
            "the guest {source} is not built; `cargo umbriel build {}` builds it",
            loaded.shown
        ))
    })
}

fn problem(refusal: &Refusal) -> Problem {
    Problem::ComposeImageRefused {
        what: format!("{}: {}", refusal.image, refusal.problem),
        why: "a guest cannot start from this image".to_owned(),
        fix: refusal.problem.advice().to_string(),
    }
}

fn convert(placed: PlacedGuest) -> GuestPayload {
    let load = |load: guest_loader::Load| GuestLoad { gpa: load.gpa.get(), bytes: load.bytes };
    let range = |&(start, end): &(_, _)| range(start, end);
    GuestPayload {
        platform: placed.platform,
        memory_bytes: placed.memory_bytes,
        loads: placed.loads.into_iter().map(load).collect(),
        read_only: placed.read_only.iter().map(range).collect(),
        patches: placed.patches.iter().map(|patch| (patch.gpa.get(), patch.kind)).collect(),
        rewrites: placed.rewrites,
        start: placed.start,
        secondary: placed.secondary,
    }
}

fn range(start: x86::Gpa, end: x86::Gpa) -> GpaRange {
    GpaRange { start: start.get(), end: end.get() }
}
