//! Names build results and keeps them whole.
//!
//! A result lives in `<out_dir>/<hash>/`, where the hash covers everything that
//! goes into it. It is built in a scratch directory beside it and moved there
//! by one rename; what is there is complete. A file lock makes concurrent
//! builds of the same output directory wait for each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::command::Call;
use crate::config::Config;
use crate::edits::Edit;
use crate::error::Error;
use crate::sources::Package;

/// Goes into every hash; count up when `recipe.rs` changes what it produces.
const RECIPE_VERSION: u32 = 1;

/// Hex digits of the hash that name a result.
const HASH_DIGITS: usize = 16;

/// Hashes everything that determines a build's result.
///
/// # Errors
/// [`Error::ToolFailed`] if the compiler or linker does not tell its version.
pub(crate) fn key(package: &Package, edits: &[Edit], config: &Config) -> Result<String, Error> {
    let mut hash = Sha256::new();
    // Each part is preceded by its length, so that no two lists of parts
    // become the same bytes.
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(&RECIPE_VERSION.to_le_bytes());
    part(package.version.as_bytes());
    part(package.checksum.as_bytes());
    for edit in edits {
        part(edit.id.to_string().as_bytes());
        for replacement in &edit.replacements {
            part(replacement.file.as_bytes());
            part(replacement.find.as_bytes());
            part(replacement.replace.as_bytes());
        }
    }
    part(format!("{config:?}").as_bytes());
    for tool in ["gcc", "ld"] {
        part(&Call::new("asking for versions", tool).arg("--version").run()?);
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(hex[..HASH_DIGITS].to_owned())
}

/// The exclusive right to build in an output directory; ends when dropped.
pub(crate) struct BuildLock(#[allow(dead_code, reason = "held for its lock")] File);

/// Waits for and takes the lock of `out_dir`.
///
/// # Errors
/// [`Error::Io`] if the lock file cannot be made or locked.
pub(crate) fn lock(out_dir: &Path) -> Result<BuildLock, Error> {
    fs::create_dir_all(out_dir).map_err(Error::io("create", out_dir))?;
    let path = out_dir.join(".lock");
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    file.lock().map_err(Error::io("lock", &path))?;
    Ok(BuildLock(file))
}

/// A directory under construction, removed when dropped without [`Scratch::commit`].
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty scratch directory for the result `hash`. The caller holds
    /// the lock, so leftovers are those of an interrupted build.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn new(out_dir: &Path, hash: &str) -> Result<Scratch, Error> {
        let path = out_dir.join(format!(".{hash}.partial"));
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        Ok(Scratch { path })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the finished result visible as `target`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be moved.
    pub(crate) fn commit(self, target: &Path) -> Result<(), Error> {
        fs::rename(&self.path, target).map_err(Error::io("create", target))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a commit the path is gone; a failed removal leaves rubbish that
        // the next build removes.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kernel-build-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("temporary directory");
        dir
    }

    #[test]
    fn abandoned_scratch_leaves_nothing() {
        let out = out_dir("abandoned");
        let scratch = Scratch::new(&out, "h").expect("scratch");
        fs::write(scratch.path().join("half"), b"x").expect("write");
        drop(scratch);
        assert_eq!(fs::read_dir(&out).expect("list").count(), 0);
        fs::remove_dir_all(out).expect("clean up");
    }

    #[test]
    fn leftovers_of_an_interrupted_build_are_removed() {
        let out = out_dir("leftover");
        fs::create_dir_all(out.join(".h.partial/old")).expect("leftover");
        let scratch = Scratch::new(&out, "h").expect("scratch");
        assert_eq!(fs::read_dir(scratch.path()).expect("list").count(), 0);
        scratch.commit(&out.join("h")).expect("commit");
        assert!(out.join("h").is_dir() && !out.join(".h.partial").exists());
        fs::remove_dir_all(out).expect("clean up");
    }
}
