//! Rights along a walk, and what a shadow table was built from.

use bitflags::bitflags;
use x86::{Gfn, Gpte};

use crate::frames::Frames;

bitflags! {
    /// W and U, combined over levels by AND; the bits sit where guest entries
    /// have them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Rights: u64 {
        /// Writable on every level so far.
        const WRITE = Gpte::WRITABLE.bits();
        /// User-accessible on every level so far.
        const USER = Gpte::USER.bits();
    }
}

impl Rights {
    /// What remains after one more entry.
    pub const fn through(self, entry: Gpte) -> Self {
        Self::from_bits_retain(self.bits() & entry.bits() & Self::all().bits())
    }
}

/// What a shadow table stands for: the guest table (or the part of a guest
/// superpage) it was built from, and the rights that the entries above gave.
///
/// Two walks agree on an instance if and only if their origins are equal
/// (rule R1), so the parts are packed into one word, written like the guest
/// entry that they summarise: frame in bits 51:12, W, U, PS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(u64);

impl Origin {
    /// No guest table: a shadow table that is not linked.
    pub(crate) const NONE: Self = Self(0);

    /// The guest table in `gfn`, reached with `rights`.
    pub const fn table(gfn: Gfn, rights: Rights) -> Self {
        Self(gfn.base().get() | rights.bits() | Gpte::PRESENT.bits())
    }

    /// The part of a guest superpage that begins at `gfn`, mapped with
    /// `rights` (those of the superpage's own entry included).
    pub const fn superpage(gfn: Gfn, rights: Rights) -> Self {
        Self(Self::table(gfn, rights).0 | Gpte::PAGE_SIZE.bits())
    }

    /// The guest table's frame, or the first frame of the superpage part.
    pub const fn gfn(self) -> Gfn {
        Gfn::new(self.0 >> 12)
    }

    /// The RAM frame of the guest table it names; `None` for part of a
    /// superpage, for none, and outside RAM.
    #[inline]
    pub(crate) fn table_frame(self, frames: &Frames<'_>) -> Option<u32> {
        let is_table = self.0 & (Gpte::PRESENT | Gpte::PAGE_SIZE).bits() == Gpte::PRESENT.bits();
        if is_table { frames.number(self.gfn()) } else { None }
    }

    /// Whether it splinters a superpage.
    pub const fn is_superpage(self) -> bool {
        self.0 & Gpte::PAGE_SIZE.bits() != 0
    }

    /// The rights it was reached with.
    pub const fn rights(self) -> Rights {
        Rights::from_bits_truncate(self.0)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_record(bits: u64) -> Self {
        Self(bits)
    }
}
