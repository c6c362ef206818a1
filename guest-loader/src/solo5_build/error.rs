//! What can go wrong while building Solo5's tests.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use kernel_build::Tool;

use super::TESTS;

/// A failed build of Solo5's tests.
#[derive(Debug)]
pub enum BuildError {
    /// There is no test of that name.
    UnknownTest(String),
    /// The package with the sources was not found.
    Sources(kernel_build::Error),
    /// A program that the build needs is not installed.
    MissingTool(Tool),
    /// A file or directory could not be read, written or moved.
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A program failed.
    ToolFailed {
        /// Which step ran it.
        step: String,
        /// The command.
        command: String,
        /// The last lines of its error output.
        output: String,
    },
}

impl BuildError {
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

impl From<kernel_build::Error> for BuildError {
    fn from(error: kernel_build::Error) -> Self {
        Self::Sources(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTest(name) => {
                write!(f, "there is no Solo5 test {name:?}; there are {}", TESTS.join(", "))
            }
            Self::Sources(error) => error.fmt(f),
            Self::MissingTool(tool) => write!(
                f,
                "building Solo5's tests needs {} ({}), which is not installed: `apt-get install {}` (Debian) brings it",
                tool.name, tool.why, tool.debian_package
            ),
            Self::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Self::ToolFailed { step, command, output } => {
                write!(f, "Solo5 build, {step}: this command failed:\n  {command}\n{output}")
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None, // `Sources` is shown as itself
        }
    }
}
