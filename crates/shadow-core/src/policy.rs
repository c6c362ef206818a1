//! Choices that were measured against each other; the defaults won.

/// How writable mappings of a frame are taken away before it becomes a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// By one Revoke of the original, which cannot miss a mapping.
    Revoke,
    /// By a Remap without W of each recorded writable mapping; by Revoke if
    /// there are more than eight.
    Recorded,
}

/// Choices made at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How a frame loses its writable mappings.
    pub promotion: Promotion,
    /// Whether a changed entry whose A bit is set is mapped again at once when
    /// its table is resynced or INVLPG drops it.
    pub derive: bool,
    /// Entries around a hidden fault that are mapped with it if their A bit is
    /// set: the size of the aligned block, a power of two; 1 for none.
    pub neighbours: u16,
}

impl Policy {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        promotion: Promotion::Revoke,
        derive: true,
        neighbours: 8,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
