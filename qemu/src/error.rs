//! What can go wrong around QEMU, said for people.

use std::fmt;
use std::io;

/// Why a machine did not start.
#[derive(Debug)]
pub enum Error {
    /// There is no profile of this name.
    UnknownProfile(String),
    /// The program is not installed.
    NotInstalled {
        /// The program, as typed in a shell.
        program: String,
        /// The Debian package that has it.
        debian_package: String,
    },
    /// The system refused to start the program.
    Start {
        /// The full command line.
        command: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnknownProfile(name) => write!(
                f,
                "there is no machine {name:?}; qemu/machines/ has: {}",
                crate::Profile::names().join(", ")
            ),
            Error::NotInstalled { program, debian_package } => write!(
                f,
                "{program} is not installed: `apt-get install {debian_package}` (Debian) brings it"
            ),
            Error::Start { command, source } => {
                write!(f, "cannot start QEMU: {source}. The command was:\n  {command}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Start { source, .. } => Some(source),
            _ => None,
        }
    }
}
