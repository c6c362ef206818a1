//! The window on guest memory.
//!
//! The builder maps every frame at `WINDOW + gpa`. vCPUs may run between any
//! two accesses, so all of them are atomic: bytes and words, never references.

#![allow(unsafe_code, reason = "guest memory is known by its addresses only")]

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use system::address_map::{WINDOW, WINDOW_LIMIT};
use x86::{Gfn, Gpa, GuestMemory, OutsideRam};

/// Guest memory of a fixed size.
pub struct Window {
    size: u64,
}

impl Window {
    /// The window of a guest with `size` bytes of RAM.
    ///
    /// # Safety
    /// The builder has mapped `size` bytes at [`WINDOW`], for good.
    pub unsafe fn new(size: u64) -> Self {
        Self {
            size: size.min(WINDOW_LIMIT),
        }
    }

    /// The address of `gpa`, if `length` bytes from there on are RAM.
    fn address(&self, gpa: Gpa, length: u64) -> Result<u64, OutsideRam> {
        match gpa.checked_add(length) {
            Some(end) if end.get() <= self.size => Ok(WINDOW + gpa.get()),
            _ => Err(OutsideRam { gpa, length }),
        }
    }

    fn word(&self, gpa: Gpa) -> Result<&AtomicU64, OutsideRam> {
        let address = self.address(gpa, 8)?;
        if !address.is_multiple_of(8) {
            return Err(OutsideRam { gpa, length: 8 });
        }
        // SAFETY: mapped for good (see `new`), in range and aligned by the
        // checks right above; atomics tolerate a guest that writes meanwhile.
        Ok(unsafe { &*(address as *const AtomicU64) })
    }

    /// All entries of a table; none outside RAM.
    fn table(&self, table: Gfn) -> &[AtomicU64] {
        match self.address(table.base(), 4096) {
            // SAFETY: as in `word`; frames are aligned.
            Ok(address) => unsafe { core::slice::from_raw_parts(address as *const AtomicU64, 512) },
            Err(_) => &[],
        }
    }

    fn bytes(&self, gpa: Gpa, length: usize) -> Result<&[AtomicU8], OutsideRam> {
        let address = self.address(gpa, length as u64)?;
        // SAFETY: as in `word`; bytes are always aligned.
        Ok(unsafe { core::slice::from_raw_parts(address as *const AtomicU8, length) })
    }
}

/// The address of word number `word` from `gpa` on. The range was checked.
const fn at(gpa: Gpa, word: usize) -> Gpa {
    Gpa::new(gpa.get() + 8 * word as u64)
}

/// Copies bytes between two places that others may change meanwhile; as many
/// as the shorter has.
fn copy(to: &[AtomicU8], from: &[AtomicU8]) {
    for (to, from) in to.iter().zip(from) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Window {
    /// Copies guest memory at `gpa` into all of `area`.
    ///
    /// # Errors
    /// [`OutsideRam`] if any byte is not RAM; nothing is copied then.
    pub fn read_shared(&self, gpa: Gpa, area: &[AtomicU8]) -> Result<(), OutsideRam> {
        copy(area, self.bytes(gpa, area.len())?);
        Ok(())
    }

    /// Copies all of `area` into guest memory at `gpa`.
    ///
    /// # Errors
    /// [`OutsideRam`] if any byte is not RAM; nothing is copied then.
    pub fn write_shared(&self, gpa: Gpa, area: &[AtomicU8]) -> Result<(), OutsideRam> {
        copy(self.bytes(gpa, area.len())?, area);
        Ok(())
    }
}

impl GuestMemory for Window {
    fn size(&self) -> u64 {
        self.size
    }

    #[inline]
    fn load_u64(&self, gpa: Gpa) -> Result<u64, OutsideRam> {
        Ok(self.word(gpa)?.load(Ordering::Relaxed))
    }

    #[inline]
    fn compare_exchange_u64(&self, gpa: Gpa, current: u64, new: u64) -> Result<u64, OutsideRam> {
        let exchanged =
            self.word(gpa)?
                .compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed);
        Ok(match exchanged {
            Ok(old) | Err(old) => old,
        })
    }

    fn load_table(&self, table: Gfn, entries: &mut [u64; 512]) {
        for (entry, live) in entries.iter_mut().zip(self.table(table)) {
            *entry = live.load(Ordering::Relaxed);
        }
    }

    fn compare_table(&self, table: Gfn, expected: &[u64; 512], differ: &mut [u64; 8]) {
        let chunks = expected
            .chunks_exact(64)
            .zip(self.table(table).chunks_exact(64));
        for (word, (expected, live)) in differ.iter_mut().zip(chunks) {
            for (bit, (expected, live)) in expected.iter().zip(live).enumerate() {
                if live.load(Ordering::Relaxed) != *expected {
                    *word |= 1 << bit;
                }
            }
        }
    }

    fn read(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        let source = self.bytes(gpa, bytes.len())?;
        if gpa.get().is_multiple_of(8) && bytes.len().is_multiple_of(8) {
            for (word, to) in bytes.chunks_exact_mut(8).enumerate() {
                to.copy_from_slice(&self.load_u64(at(gpa, word))?.to_le_bytes());
            }
            return Ok(());
        }
        for (to, from) in bytes.iter_mut().zip(source) {
            *to = from.load(Ordering::Relaxed);
        }
        Ok(())
    }

    fn write(&self, gpa: Gpa, bytes: &[u8]) -> Result<(), OutsideRam> {
        let target = self.bytes(gpa, bytes.len())?;
        if gpa.get().is_multiple_of(8) && bytes.len().is_multiple_of(8) {
            for (word, from) in bytes.as_chunks().0.iter().enumerate() {
                self.word(at(gpa, word))?
                    .store(u64::from_le_bytes(*from), Ordering::Relaxed);
            }
            return Ok(());
        }
        for (to, from) in target.iter().zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
        Ok(())
    }
}
