//! Caching attributes of a mapping.

use crate::Word;

/// Caching of a mapped page or paging object. Corresponds to `seL4_X86_VMAttributes`.
///
/// No attribute makes a page non-executable: seL4 on x86-64 maps every page executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VmAttributes(Word);

impl VmAttributes {
    /// Write-back, the attribute of ordinary memory.
    pub const DEFAULT: Self = Self(0);
    /// Write-through.
    pub const WRITE_THROUGH: Self = Self(1);
    /// Not cached unless the memory type registers say otherwise.
    pub const CACHE_DISABLED: Self = Self(2);
    /// Not cached: for device memory.
    pub const UNCACHEABLE: Self = Self(3);
    /// Write-combining: for frame buffers.
    pub const WRITE_COMBINING: Self = Self(4);

    /// The word for the kernel.
    pub const fn into_word(self) -> Word {
        self.0
    }
}
