//! Why a kernel's interface files could not be used.

use std::fmt;
use std::path::PathBuf;

/// A kernel tree that cannot be read or served; the text says what to do.
#[derive(Debug)]
pub enum Error {
    /// A file that should be there could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: std::io::Error,
    },
    /// The directory has neither of the two known file layouts.
    NotAKernel {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// A file does not have the format it should have.
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The kernel is of a kind that the bindings do not serve.
    Unsupported {
        /// The directory that was named.
        directory: PathBuf,
        /// Which property, and what would be needed instead.
        reason: String,
    },
}

impl Error {
    /// A malformed file, by path, line and problem.
    pub(crate) fn malformed(
        path: impl Into<PathBuf>,
        line: usize,
        problem: impl Into<String>,
    ) -> Self {
        Self::Malformed { path: path.into(), line, problem: problem.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, cause } => {
                write!(f, "cannot read {}: {cause}", path.display())
            }
            Self::NotAKernel { directory } => write!(
                f,
                "{} is no seL4 tree: neither libsel4/include/interfaces/sel4.xml (5.0.0) nor \
                 libsel4/include/interfaces/object-api.xml (13.0.0 and later) is there",
                directory.display()
            ),
            Self::Malformed { path, line, problem } => {
                write!(f, "{}:{line}: {problem}", path.display())
            }
            Self::Unsupported { directory, reason } => {
                write!(f, "the kernel in {} cannot be used: {reason}", directory.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
