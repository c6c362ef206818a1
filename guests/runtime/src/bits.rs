//! Bits of page-table entries (SDM vol. 3A, §4.5).

/// P.
pub const PRESENT: u64 = 1;
/// R/W.
pub const WRITABLE: u64 = 1 << 1;
/// U/S.
pub const USER: u64 = 1 << 2;
/// A.
pub const ACCESSED: u64 = 1 << 5;
/// D.
pub const DIRTY: u64 = 1 << 6;
/// PS in upper tables; PAT at level 1.
pub const LARGE: u64 = 1 << 7;
/// Frame number, as wide as the architecture has it.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
