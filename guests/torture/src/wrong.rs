//! What a failed check tells.

use core::fmt;

use crate::address::VirtualPage;
use crate::attempt::Seen;
use crate::walk::{Access, Walk};

/// An access that did not do what the tables say.
#[derive(Debug)]
pub struct Wrong {
    /// The page accessed.
    pub page: VirtualPage,
    /// How.
    pub access: Access,
    /// What the tables said before.
    pub walk: Walk,
    /// What was not so.
    pub what: What,
}

/// What an access did, and what it should have done.
#[derive(Debug)]
#[allow(missing_docs)] // each variant says it of its thing
pub enum What {
    /// The value or fault.
    Seen { wanted: Seen, seen: Seen },
    /// An entry of the walk, afterwards.
    Entry { address: u64, wanted: u64, seen: u64 },
    /// The word written, read in the pool.
    Store { wanted: u64, seen: u64 },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.access.user { "user" } else { "kernel" };
        let protect = u8::from(self.access.write_protect);
        write!(
            f,
            "{mode} {:?} at {:#x} (CR0.WP {protect}): ",
            self.access.kind,
            self.page.address()
        )?;
        match self.what {
            What::Seen { wanted, seen } => write!(f, "seen {seen:x?}, not {wanted:x?}")?,
            What::Entry { address, wanted, seen } => {
                write!(f, "entry {address:#x} became {seen:#x}, not {wanted:#x}")?
            }
            What::Store { wanted, seen } => {
                write!(f, "the word in memory became {seen:#x}, not {wanted:#x}")?;
            }
        }
        for step in self.walk.steps() {
            write!(f, "; [{:#x}] = {:#x}", step.address, step.value)?;
        }
        Ok(())
    }
}
