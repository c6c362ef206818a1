//! The record of what was built last, for commands that do not build.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use system::manifest::GuestSource;

use crate::build::kernel::Kernel;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// What was built, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// The kernel.
    pub kernel: Kernel,
    /// ELF files of the processes by package name.
    pub programs: BTreeMap<String, PathBuf>,
    /// Images of guests, by key and value of the manifest.
    pub guests: BTreeMap<String, PathBuf>,
}

impl Artifacts {
    /// A kernel and nothing else.
    pub fn new(kernel: Kernel) -> Artifacts {
        Artifacts { kernel, programs: BTreeMap::new(), guests: BTreeMap::new() }
    }

    fn path(repository: &Repository, debug: bool) -> PathBuf {
        let profile = if debug { "debug" } else { "release" };
        repository.target(&format!("umbriel/built-{profile}.json"))
    }

    /// The record of the last build; `None` if there is none, or if a file
    /// that it names has gone.
    pub fn load(repository: &Repository, debug: bool) -> Option<Artifacts> {
        let text = fs::read(Artifacts::path(repository, debug)).ok()?;
        let artifacts: Artifacts = serde_json::from_slice(&text).ok()?;
        let kernel = [&artifacts.kernel.elf, &artifacts.kernel.elf32];
        let whole = artifacts.programs.values().chain(kernel).all(|file| file.is_file());
        whole.then_some(artifacts)
    }

    /// Keeps the record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, repository: &Repository, debug: bool) -> Result<()> {
        let path = Artifacts::path(repository, debug);
        let text = serde_json::to_vec_pretty(self)?;
        // By a rename, so that another tool at work never reads half of it.
        let draft = path.with_extension(format!("{}.draft", std::process::id()));
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        }
        fs::write(&draft, text).map_err(Error::io("write", &draft))?;
        fs::rename(&draft, &path).map_err(Error::io("write", &path))
    }

    /// The image of a guest that was built.
    pub fn guest(&self, source: &GuestSource) -> Option<&PathBuf> {
        self.guests.get(&guest_key(source)).filter(|path| path.is_file())
    }
}

/// What a guest is called in [`Artifacts::guests`].
pub fn guest_key(source: &GuestSource) -> String {
    format!("{} = {source}", source.key())
}
