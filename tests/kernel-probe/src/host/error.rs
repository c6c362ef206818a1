//! Why the probes could not be run. What they find is no error.

use std::fmt;
use std::io;

/// A probe that could not be run.
#[derive(Debug)]
pub enum Error {
    /// A kernel could not be built or inspected.
    Kernel(kernel_build::Error),
    /// The root task could not be built: cargo's messages.
    RootTask(String),
    /// QEMU could not be started.
    Qemu(qemu::Error),
    /// Something on this machine failed.
    Io(&'static str, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Kernel(source) => source.fmt(f),
            Error::RootTask(messages) => {
                write!(f, "cannot build the root task tests/kernel-probe:\n{messages}")
            }
            Error::Qemu(source) => source.fmt(f),
            Error::Io(action, source) => write!(f, "cannot {action}: {source}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<kernel_build::Error> for Error {
    fn from(source: kernel_build::Error) -> Error {
        Error::Kernel(source)
    }
}

impl From<qemu::Error> for Error {
    fn from(source: qemu::Error) -> Error {
        Error::Qemu(source)
    }
}
