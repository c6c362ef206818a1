//! What can go wrong while building the kernel, said for the person who typed
//! the command: what happened, where, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::edits::EditId;

/// A failed step of the kernel build.
#[derive(Debug)]
pub enum Error {
    /// A file or directory could not be read, written or moved.
    Io {
        /// What was attempted, as a verb: "read", "create", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A data file of `kernel/` does not have the expected form.
    BadData {
        /// The data file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An edit's `find` text does not occur exactly once in its file.
    EditMismatch {
        /// The edit.
        edit: EditId,
        /// The file inside the kernel tree.
        file: String,
        /// How often the text occurs.
        matches: usize,
        /// First line of the text, to find it in the data file.
        find: String,
    },
    /// The request names an edit that `kernel/edits/` does not have.
    UnknownEdit(EditId),
    /// A source package could not be located or is not locked.
    Package {
        /// The package's name.
        name: String,
        /// Why it was not found.
        reason: String,
    },
    /// A program that the build needs is not installed.
    MissingTool {
        /// The program, as typed in a shell.
        name: &'static str,
        /// The Debian package that has it.
        debian_package: &'static str,
    },
    /// A program ran and reported a failure.
    ToolFailed {
        /// Which step of the build ran it.
        step: &'static str,
        /// The full command line.
        command: String,
        /// The last lines of its error output.
        output: String,
    },
}

impl Error {
    /// Returns a closure that wraps an [`io::Error`] about `path`.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Error + use<'a> {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }

    /// An error about the content of a data file.
    pub(crate) fn data(path: &Path, reason: impl fmt::Display) -> Error {
        Error::BadData { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Error::BadData { path, reason } => write!(f, "{}: {reason}", path.display()),
            Error::EditMismatch { edit, file, matches, find } => write!(
                f,
                "kernel edit {edit}: the text starting with {find:?} occurs {matches} times in {file} of the kernel \
                 tree, expected exactly once. Either the sources are not seL4 {} or another edit changed the same \
                 place; correct kernel/edits/{}.toml",
                crate::SEL4_VERSION,
                edit.to_string().to_lowercase(),
            ),
            Error::UnknownEdit(edit) => {
                write!(f, "there is no kernel edit {edit}; `cargo umbriel kernel` lists them")
            }
            Error::Package { name, reason } => write!(
                f,
                "cannot find the sources of {name}: {reason}. They are locked in sources/Cargo.lock and fetched \
                 by cargo; check the network, then try `cargo fetch --locked --manifest-path sources/Cargo.toml`"
            ),
            Error::MissingTool { name, debian_package } => write!(
                f,
                "the kernel build needs {name}, which is not installed: `apt-get install {debian_package}` \
                 (Debian) brings it"
            ),
            Error::ToolFailed { step, command, output } => {
                write!(f, "kernel build, {step}: this command failed:\n  {command}\n{output}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
