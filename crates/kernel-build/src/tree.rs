//! Copies directory trees.

use std::fs;
use std::path::Path;

use crate::error::Error;

/// Copies the directory `from` to `to`, creating `to`.
///
/// # Errors
/// [`Error::Io`] about the first entry that cannot be copied.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let source = entry.map_err(Error::io("read", from))?.path();
        let Some(name) = source.file_name() else {
            continue;
        };
        let target = to.join(name);
        if source.is_dir() {
            copy_dir(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

/// Copies one file, creating the directories above it.
///
/// # Errors
/// [`Error::Io`] about the file or a directory above it.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    // Read and write instead of fs::copy: a read-only source must not make the
    // copy read-only, since edits are applied to it.
    let content = fs::read(from).map_err(Error::io("read", from))?;
    fs::write(to, content).map_err(Error::io("write", to))
}
