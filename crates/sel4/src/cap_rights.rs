//! Rights of capabilities and mappings.

use crate::Word;

/// Rights that a new capability or a mapping is limited to. Corresponds to `seL4_CapRights_t`.
///
/// Bit 0 write, bit 1 read, bit 2 grant; releases from 11.0.0 on add bit 3, grant-reply, which a
/// capability with grant implies, so that these eight combinations mean the same on every kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapRights(Word);

impl CapRights {
    /// Builds a set of rights.
    pub const fn new(grant: bool, read: bool, write: bool) -> Self {
        Self(write as Word | (read as Word) << 1 | (grant as Word) << 2)
    }

    /// No right. A page mapped so is present and inaccessible.
    pub const fn none() -> Self {
        Self::new(false, false, false)
    }

    /// Every right.
    pub const fn all() -> Self {
        Self::new(true, true, true)
    }

    /// Read and write.
    pub const fn read_write() -> Self {
        Self::new(false, true, true)
    }

    /// Read only.
    pub const fn read_only() -> Self {
        Self::new(false, true, false)
    }

    /// Write only: for an endpoint, send without passing capabilities.
    pub const fn write_only() -> Self {
        Self::new(false, false, true)
    }

    /// What a fault endpoint needs, and no more: write and grant. With read the faulting thread
    /// could receive the faults of others.
    pub const fn fault_endpoint() -> Self {
        Self::new(true, false, true)
    }

    /// The word for the kernel.
    pub const fn into_word(self) -> Word {
        self.0
    }
}
