//! Why something could not be built.

use core::fmt;

/// Why a process or guest could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The machine has no memory left.
    OutOfMemory,
    /// The root task's CNode has no slot left.
    OutOfSlots,
    /// The archive asks for what this root task cannot do.
    Archive(&'static str),
    /// The kernel refused an invocation.
    Kernel(&'static str, sel4::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str(
                "the machine has no memory left; give it more (machine.memory) or the guests less",
            ),
            Self::OutOfSlots => f.write_str(
                "the root task has no capability slots left; compose fewer or smaller guests",
            ),
            Self::Archive(what) => write!(f, "the composed image is damaged or too new: {what}"),
            Self::Kernel(what, error) => write!(f, "seL4 refused {what}: {error:?}"),
        }
    }
}

/// Names the invocation that failed.
pub trait Named<T> {
    /// Turns the kernel's error into a [`BuildError`].
    fn named(self, what: &'static str) -> Result<T, BuildError>;
}

impl<T> Named<T> for sel4::Result<T> {
    fn named(self, what: &'static str) -> Result<T, BuildError> {
        self.map_err(|error| BuildError::Kernel(what, error))
    }
}
