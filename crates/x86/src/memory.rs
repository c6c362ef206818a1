//! Access to guest-physical memory.

use crate::{Gfn, Gpa};

/// The claimed guest-physical range is not (wholly) RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideRam {
    /// First address of the claimed range.
    pub gpa: Gpa,
    /// Its length in bytes.
    pub length: u64,
}

/// A guest's RAM, as its servers reach it.
///
/// Running guest threads may change memory between any two calls; each call
/// of the `u64` methods is one atomic access. Implementations check every
/// range; none of the methods panics on any argument.
pub trait GuestMemory {
    /// Size of RAM in bytes; RAM is `[0, size)`.
    fn size(&self) -> u64;

    /// Loads the aligned 8 bytes at `gpa`.
    ///
    /// # Errors
    /// [`OutsideRam`] if `gpa` is not 8-aligned RAM.
    fn load_u64(&self, gpa: Gpa) -> Result<u64, OutsideRam>;

    /// Replaces the aligned 8 bytes at `gpa` with `new` if they equal
    /// `current`; gives what was there.
    ///
    /// # Errors
    /// [`OutsideRam`] if `gpa` is not 8-aligned RAM.
    fn compare_exchange_u64(&self, gpa: Gpa, current: u64, new: u64) -> Result<u64, OutsideRam>;

    /// Loads all entries of the table in `table`; each load is atomic. Entries
    /// outside RAM are 0.
    fn load_table(&self, table: Gfn, entries: &mut [u64; 512]) {
        for (slot, entry) in entries.iter_mut().enumerate() {
            let gpa = Gpa::new(table.base().get() | (slot as u64 * 8));
            *entry = self.load_u64(gpa).unwrap_or(0);
        }
    }

    /// Sets the bit of every entry of `table` that differs from `expected`;
    /// each load is atomic. Entries outside RAM are 0.
    fn compare_table(&self, table: Gfn, expected: &[u64; 512], differ: &mut [u64; 8]) {
        for (slot, expected) in expected.iter().enumerate() {
            let gpa = Gpa::new(table.base().get() | (slot as u64 * 8));
            if self.load_u64(gpa).unwrap_or(0) != *expected {
                differ[slot / 64] |= 1 << (slot % 64);
            }
        }
    }

    /// Copies guest memory at `gpa` into `bytes`.
    ///
    /// # Errors
    /// [`OutsideRam`] if any byte is not RAM; nothing is copied then.
    fn read(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), OutsideRam>;

    /// Copies `bytes` into guest memory at `gpa`.
    ///
    /// # Errors
    /// [`OutsideRam`] if any byte is not RAM; nothing is copied then.
    fn write(&self, gpa: Gpa, bytes: &[u8]) -> Result<(), OutsideRam>;
}

/// No memory, for what needs none.
impl GuestMemory for () {
    fn size(&self) -> u64 {
        0
    }

    fn load_u64(&self, gpa: Gpa) -> Result<u64, OutsideRam> {
        Err(OutsideRam { gpa, length: 8 })
    }

    fn compare_exchange_u64(&self, gpa: Gpa, _: u64, _: u64) -> Result<u64, OutsideRam> {
        Err(OutsideRam { gpa, length: 8 })
    }

    fn read(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        let length = bytes.len() as u64;
        Err(OutsideRam { gpa, length })
    }

    fn write(&self, gpa: Gpa, bytes: &[u8]) -> Result<(), OutsideRam> {
        let length = bytes.len() as u64;
        Err(OutsideRam { gpa, length })
    }
}
