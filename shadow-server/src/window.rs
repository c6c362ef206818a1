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
        Self { size: size.min(WINDOW_LIMIT) }
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

    /// `count` words from the aligned `gpa` on.
    #[inline]
    fn words(&self, gpa: Gpa, count: usize) -> Result<&[AtomicU64], OutsideRam> {
        let length = 8 * count as u64;
        let address = self.address(gpa, length)?;
        if !address.is_multiple_of(8) {
            return Err(OutsideRam { gpa, length });
        }
        // SAFETY: as in `word`.
        Ok(unsafe { core::slice::from_raw_parts(address as *const AtomicU64, count) })
    }

    fn bytes(&self, gpa: Gpa, length: usize) -> Result<&[AtomicU8], OutsideRam> {
        let address = self.address(gpa, length as u64)?;
        // SAFETY: as in `word`; bytes are always aligned.
        Ok(unsafe { core::slice::from_raw_parts(address as *const AtomicU8, length) })
    }
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

/// Bytes that one piece of an unaligned read brings.
const PIECE: usize = 16;

impl Window {
    /// The 16 bytes from `gpa` on as one number, out of the words around them;
    /// zeros behind the end of RAM.
    #[inline(always)]
    fn piece(&self, gpa: Gpa) -> u128 {
        let (inside, first) = (gpa.get() % 8, Gpa::new(gpa.get() & !7));
        let word = |word: &AtomicU64| u128::from(word.load(Ordering::Relaxed));
        let (low, high) = match self.words(first, 3) {
            Ok([first, second, third]) => (word(first) | word(second) << 64, word(third)),
            _ => self.last_piece(first),
        };
        // Twice, since a shift by all bits is none.
        low >> (8 * inside) | (high << 64 << (64 - 8 * inside))
    }

    #[cold]
    fn last_piece(&self, first: Gpa) -> (u128, u128) {
        let word = |number: u64| {
            let word = self.load_u64(Gpa::new(first.get().saturating_add(8 * number)));
            u128::from(word.unwrap_or(0))
        };
        (word(0) | word(1) << 64, word(2))
    }

    /// Reads bytes that are not whole words: instructions above all.
    #[inline(always)] // most lengths are constants
    fn read_pieces(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        self.address(gpa, bytes.len() as u64)?;
        if bytes.len() <= PIECE {
            bytes.copy_from_slice(&self.piece(gpa).to_le_bytes()[..bytes.len()]);
            return Ok(());
        }
        for (number, part) in bytes.chunks_mut(PIECE).enumerate() {
            let piece = self.piece(Gpa::new(gpa.get() + (PIECE * number) as u64));
            part.copy_from_slice(&piece.to_le_bytes()[..part.len()]);
        }
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
            self.word(gpa)?.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed);
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
        let chunks = expected.chunks_exact(64).zip(self.table(table).chunks_exact(64));
        for (word, (expected, live)) in differ.iter_mut().zip(chunks) {
            for (bit, (expected, live)) in expected.iter().zip(live).enumerate() {
                if live.load(Ordering::Relaxed) != *expected {
                    *word |= 1 << bit;
                }
            }
        }
    }

    #[inline(always)] // most lengths are constants
    fn read(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        if !gpa.get().is_multiple_of(8) || !bytes.len().is_multiple_of(8) {
            return self.read_pieces(gpa, bytes);
        }
        let words = self.words(gpa, bytes.len() / 8)?;
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        Ok(())
    }

    #[inline(always)] // most lengths are constants
    fn write(&self, gpa: Gpa, bytes: &[u8]) -> Result<(), OutsideRam> {
        if gpa.get().is_multiple_of(8) && bytes.len().is_multiple_of(8) {
            let words = self.words(gpa, bytes.len() / 8)?;
            for (word, from) in words.iter().zip(bytes.as_chunks().0) {
                word.store(u64::from_le_bytes(*from), Ordering::Relaxed);
            }
            return Ok(());
        }
        for (to, from) in self.bytes(gpa, bytes.len())?.iter().zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
        Ok(())
    }
}
