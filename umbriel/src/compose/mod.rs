//! Packs a system: reads and places its guests' images, compiles it, and puts
//! the result behind the root task.
//!
//! Nothing here runs a compiler; everything comes from [`Artifacts`] and from
//! the files that the manifest names.

pub mod iso;
mod payload;
mod source;

pub use source::{Loaded, load, refusal};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use system::compile::Programs;
use system::compiled::ProgramKind;
use system::manifest::System;
use system::program::Program;

use crate::build::{Artifacts, ROOT_TASK};
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Composes `loaded` from what is built: the bytes of the ELF file that seL4
/// takes as its root task, with everything else inside.
///
/// # Errors
/// The place in the manifest and what does not fit, or what is not built.
pub fn compose(repository: &Repository, loaded: &Loaded, artifacts: &Artifacts) -> Result<Vec<u8>> {
    let system: &System = &loaded.system;
    let mut payloads = Vec::new();
    for index in 0..system.guests.len() {
        payloads.push(payload::payload(repository, loaded, index, artifacts)?);
    }
    let programs = programs(repository, &artifacts.programs)?;
    let archive = system::compile::compile(system, &programs, &payloads)
        .map_err(|diagnostics| refusal(&diagnostics))?;
    let root_task = program_file(repository, &artifacts.programs, ROOT_TASK)?;
    let elf = fs::read(root_task).map_err(Error::io("read", root_task))?;
    system::root_image::with_archive(&elf, archive.as_bytes())
        .map_err(|error| Error::new(format!("{}: {error}", repository.shown(root_task))))
}

fn programs(repository: &Repository, files: &BTreeMap<String, PathBuf>) -> Result<Programs> {
    let mut programs = Vec::new();
    for kind in ProgramKind::ALL {
        let path = program_file(repository, files, kind.name())?;
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let program = Program::from_elf(&bytes)
            .map_err(|error| Error::new(format!("{}: {error}", repository.shown(path))))?;
        programs.push(program);
    }
    programs.try_into().map_err(|_| Error::new("the list of programs has the wrong length"))
}

fn program_file<'a>(
    repository: &Repository,
    files: &'a BTreeMap<String, PathBuf>,
    name: &str,
) -> Result<&'a PathBuf> {
    files.get(name).ok_or_else(|| {
        let target = repository.shown(&repository.target("umbriel"));
        Error::new(format!("{name} is not built, says {target}; `cargo umbriel build` builds it"))
    })
}

/// Writes `bytes` to `path` by a rename, so that no reader sees half a file.
///
/// # Errors
/// If that fails.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    }
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    fs::write(&draft, bytes).map_err(Error::io("write", &draft))?;
    fs::rename(&draft, path).map_err(Error::io("write", path))
}
