//! Finds third-party source packages that `sources/Cargo.lock` pins.
//!
//! The packages are dependencies of a target that never holds, so cargo locks,
//! verifies and unpacks them and compiles nothing. `cargo metadata` has to run
//! unfiltered: with `--filter-platform` it hides them.

use std::env;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::Call;
use crate::error::Error;

/// An unpacked source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Where cargo unpacked it. Read-only by convention: copy, do not edit.
    pub dir: PathBuf,
    /// Its version.
    pub version: String,
    /// SHA-256 of the package file, from the lock file.
    pub checksum: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Locates the source package `name`, fetching it if it is not there yet.
///
/// # Errors
/// [`Error::Package`] if `sources/Cargo.toml` does not depend on it, if it has
/// no checksum, or if cargo cannot fetch it.
pub fn package(repo_root: &Path, name: &str) -> Result<Package, Error> {
    let sources = repo_root.join("sources");
    let missing = |reason: String| Error::Package { name: name.to_owned(), reason };
    let metadata = metadata(&sources).map_err(|e| missing(e.to_string()))?;
    let found = metadata
        .packages
        .into_iter()
        .find(|package| package.name == name)
        .ok_or_else(|| missing("sources/Cargo.toml has no such dependency".to_owned()))?;
    let checksum = locked_checksum(&sources.join("Cargo.lock"), &found)?.ok_or_else(|| {
        missing(format!("version {} has no checksum in sources/Cargo.lock", found.version))
    })?;
    let dir = found.manifest_path.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Package { dir, version: found.version, checksum })
}

/// Returns the directory of the unpacked source package `name`.
///
/// # Errors
/// As [`package`].
pub fn sources_dir(repo_root: &Path, name: &str) -> Result<PathBuf, Error> {
    package(repo_root, name).map(|package| package.dir)
}

fn metadata(sources: &Path) -> Result<Metadata, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = sources.join("Cargo.toml");
    let json = Call::new("locating sources", cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .run()?;
    serde_json::from_slice(&json)
        .map_err(|e| Error::data(&manifest, format!("cargo metadata: {e}")))
}

fn locked_checksum(lock_file: &Path, wanted: &MetadataPackage) -> Result<Option<String>, Error> {
    let text = std::fs::read_to_string(lock_file).map_err(Error::io("read", lock_file))?;
    let lock: Lock = toml::from_str(&text).map_err(|e| Error::data(lock_file, e))?;
    let same = |p: &LockedPackage| p.name == wanted.name && p.version == wanted.version;
    Ok(lock.package.into_iter().find(same).and_then(|package| package.checksum))
}
