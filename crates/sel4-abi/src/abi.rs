//! The whole of what user code must know about a kernel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::Error;
use crate::features::Features;
use crate::object::{ObjectSizes, ObjectTypes};
use crate::source::{KernelFiles, XmlDialect};
use crate::{invocation, support, syscall};

/// A kernel's binary interface as its files state it.
#[derive(Debug, Clone)]
pub struct Abi {
    /// The dialect of the files.
    pub dialect: XmlDialect,
    /// The configuration.
    pub config: Config,
    /// Invocation label by method id (`"UntypedRetype"`), only of methods that exist.
    pub labels: BTreeMap<String, u64>,
    /// System call number by name (`"ReplyRecv"`), only of calls that exist. All are negative.
    pub syscalls: BTreeMap<String, i64>,
    /// Object type numbers.
    pub types: ObjectTypes,
    /// Object sizes.
    pub sizes: ObjectSizes,
    /// What differs between releases.
    pub features: Features,
    /// The files that were read.
    pub paths: Vec<PathBuf>,
}

impl Abi {
    /// Reads the kernel tree or installation in `directory`.
    ///
    /// # Errors
    ///
    /// [`Error::NotAKernel`] if the directory has neither file layout; [`Error::Unreadable`] and
    /// [`Error::Malformed`] for a single file; [`Error::Unsupported`] if the kernel is an MCS,
    /// multi-core or SYSENTER kernel or of a release between 5.0.0 and 13.0.0.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let unsupported = |reason| Error::Unsupported { directory: directory.to_owned(), reason };
        let files = KernelFiles::read(directory)?;
        let config = files.config.clone();
        if let Some(reason) = support::reason_against(&config) {
            return Err(unsupported(reason));
        }
        let labels = invocation::labels(&files.interfaces, &config)?;
        let syscalls = syscall::numbers(&files.syscalls, &config)?;
        let features = Features::detect(&files, &labels, &syscalls)?;
        if let Some(reason) = support::reason_against_features(files.dialect, &features, &labels) {
            return Err(unsupported(reason));
        }
        Ok(Self {
            dialect: files.dialect,
            types: ObjectTypes::of(&config),
            sizes: ObjectSizes::of(files.dialect, &config),
            config,
            labels,
            syscalls,
            features,
            paths: files.paths,
        })
    }
}
