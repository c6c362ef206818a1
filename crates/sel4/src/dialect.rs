//! What differs between releases of seL4, both sides behind one interface.
//!
//! The kernel that a build is for is the constant [`ABI`](crate::ABI); every function here takes
//! such a description, so that tests cover both sides and the compiler keeps one. "5.0.0" is the
//! release with the edits that Umbriel applies or without them, "13.0.0" that and later ones.
//!
//! | what | 5.0.0 | 13.0.0 |
//! |---|---|---|
//! | boot information | packed, byte offsets | aligned words |
//! | badges and guards | a tagged union, 28-bit badge, 18-bit guard | plain badge, guard and size |
//! | message label | 20 bits | 52 bits |
//! | priorities | a word in `TCB_Configure` | `TCB_SetSchedParams` with an authority |
//! | changing a mapping | `Page_Remap` | `Page_Map` again |
//! | I/O ports | narrowed by minting | issued by a control capability |
//! | register context | 19 words, or 20 with GS base | 20 words |

use crate::{Badge, Error, Result, Word};

/// A kernel's binary interface, where it is not the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abi {
    /// Layout of the boot information.
    pub boot_info: BootInfoLayout,
    /// Encoding of badges and guards.
    pub cap_data: CapDataEncoding,
    /// Width of a message label.
    pub label_bits: u32,
    /// Words in a thread's register context.
    pub context_words: usize,
    /// How priorities are set.
    pub priorities: Priorities,
    /// How the rights of a mapping are changed.
    pub remap: Remap,
    /// How I/O port capabilities are made.
    pub io_ports: IoPorts,
    /// Most untyped objects that the boot information can list.
    pub max_untypeds: usize,
    /// Most objects that one retype makes.
    pub retype_limit: usize,
}

/// Layout of the boot information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootInfoLayout {
    /// 5.0.0: a one-byte field, then unaligned words; 12-byte descriptors.
    Packed,
    /// 13.0.0: words; 16-byte descriptors.
    Aligned,
}

/// Byte offsets in the boot information, where the two layouts part.
///
/// Before offset 136 they agree: extraLen 0, ipcBuffer 32, empty 40, userImageFrames 72,
/// userImagePaging 88, extraBIPages 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootInfoOffsets {
    /// `initThreadCNodeSizeBits`; a byte is enough to read in both layouts (little endian).
    pub cnode_size_bits: usize,
    /// `archInfo`, the TSC frequency in MHz.
    pub arch_info: Option<usize>,
    /// `untyped`, a region.
    pub untyped: usize,
    /// `untypedList`.
    pub untyped_list: usize,
    /// Bytes per descriptor.
    pub descriptor_size: usize,
    /// `sizeBits` in a descriptor.
    pub size_bits: usize,
    /// `isDevice` in a descriptor.
    pub is_device: usize,
}

impl BootInfoLayout {
    /// The offsets. Source: `bootinfo_types.h` of either release.
    pub const fn offsets(self) -> BootInfoOffsets {
        match self {
            Self::Packed => BootInfoOffsets {
                cnode_size_bits: 136,
                arch_info: Some(145),
                untyped: 153,
                untyped_list: 169,
                descriptor_size: 12,
                size_bits: 10,
                is_device: 11,
            },
            Self::Aligned => BootInfoOffsets {
                cnode_size_bits: 136,
                arch_info: None,
                untyped: 152,
                untyped_list: 168,
                descriptor_size: 16,
                size_bits: 8,
                is_device: 9,
            },
        }
    }
}

/// Encoding of badges and guards in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapDataEncoding {
    /// 5.0.0: bit 31 tells a guard (size in bits 2–7, guard in 8–25) from a badge (bits 0–27).
    Tagged,
    /// 13.0.0: the badge, or the guard in bits 6–63 and its size in bits 0–5.
    Plain,
}

impl CapDataEncoding {
    /// The largest badge.
    pub const fn max_badge(self) -> Badge {
        match self {
            Self::Tagged => (1 << 28) - 1,
            Self::Plain => Word::MAX,
        }
    }

    /// The word for a badge.
    ///
    /// # Errors
    ///
    /// [`Error::RangeError`] for a badge beyond [`max_badge`](Self::max_badge): the kernel would
    /// cut it, and two senders would look the same.
    pub const fn badge(self, badge: Badge) -> Result<Word> {
        if badge > self.max_badge() { Err(Error::RangeError) } else { Ok(badge) }
    }

    /// The word for a guard of `size` bits.
    ///
    /// # Errors
    ///
    /// [`Error::RangeError`] for a guard wider than the encoding's 18 or 58 bits, a size above 63,
    /// or a guard that does not fit into its size.
    pub const fn guard(self, guard: CNodeCapData) -> Result<Word> {
        let CNodeCapData { guard, size } = guard;
        if size > 63 || guard >> size != 0 {
            return Err(Error::RangeError);
        }
        match self {
            Self::Tagged if guard < 1 << 18 => Ok(1 << 31 | guard << 8 | (size as Word) << 2),
            Self::Plain if guard < 1 << 58 => Ok(guard << 6 | size as Word),
            _ => Err(Error::RangeError),
        }
    }
}

/// The largest badge on the kernel of this build.
pub const fn max_badge() -> Badge {
    crate::ABI.cap_data.max_badge()
}

/// A CNode's guard: bits that a capability pointer must have at this place, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CNodeCapData {
    guard: Word,
    size: usize,
}

impl CNodeCapData {
    /// A guard of `size` bits.
    pub const fn new(guard: Word, size: usize) -> Self {
        Self { guard, size }
    }

    /// A guard of zeros, so that the CNode's index bits come `size` bits lower.
    pub const fn skip(size: usize) -> Self {
        Self::new(0, size)
    }
}

/// How priorities are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priorities {
    /// 5.0.0: a word in `TCB_Configure`, checked against the caller's maximum.
    InConfigure,
    /// 13.0.0: by calls that name the thread whose maximum counts.
    WithAuthority,
}

/// The priority word of 5.0.0's `TCB_Configure`: maximum in bits 8–15, priority in bits 0–7.
pub const fn priority_word(mcp: u8, priority: u8) -> Word {
    (mcp as Word) << 8 | priority as Word
}

/// How the rights of a mapping are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remap {
    /// 5.0.0: `Page_Remap`; mapping again is an error.
    Invocation,
    /// 13.0.0: `Page_Map` again at the same address.
    MapAgain,
}

/// How I/O port capabilities are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoPorts {
    /// 5.0.0: minted from a capability to all ports, with first and last port as data.
    Minted,
    /// 13.0.0: issued by a control capability; ranges must not overlap.
    Issued,
}

/// The mint data of 5.0.0 for a range of ports.
pub const fn io_port_word(first: u16, last: u16) -> Word {
    (first as Word) << 16 | last as Word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_in_both_encodings() {
        let tagged = CapDataEncoding::Tagged;
        assert_eq!(tagged.guard(CNodeCapData::skip(60)), Ok(0x8000_00f0));
        assert_eq!(tagged.guard(CNodeCapData::skip(63)), Ok(1 << 31 | 63 << 2));
        assert_eq!(
            tagged.guard(CNodeCapData::new(0x2abcd, 60)),
            Ok(1 << 31 | 0x2abcd << 8 | 60 << 2)
        );
        assert_eq!(tagged.guard(CNodeCapData::new(1 << 18, 60)), Err(Error::RangeError));
        let plain = CapDataEncoding::Plain;
        assert_eq!(plain.guard(CNodeCapData::skip(63)), Ok(63));
        assert_eq!(plain.guard(CNodeCapData::new(1 << 18, 60)), Ok(1 << 24 | 60));
        assert_eq!(plain.guard(CNodeCapData::new(1 << 58, 63)), Err(Error::RangeError));
    }

    #[test]
    fn a_guard_must_fit_its_size() {
        for encoding in [CapDataEncoding::Tagged, CapDataEncoding::Plain] {
            assert_eq!(encoding.guard(CNodeCapData::new(4, 2)), Err(Error::RangeError));
            assert_eq!(encoding.guard(CNodeCapData::skip(64)), Err(Error::RangeError));
        }
    }

    #[test]
    fn badges_that_would_be_cut_are_refused() {
        assert_eq!(CapDataEncoding::Tagged.badge(0xfff_ffff), Ok(0xfff_ffff));
        assert_eq!(CapDataEncoding::Tagged.badge(1 << 28), Err(Error::RangeError));
        assert_eq!(CapDataEncoding::Plain.badge(Word::MAX), Ok(Word::MAX));
    }

    #[test]
    fn words() {
        assert_eq!(priority_word(255, 100), 0xff64);
        assert_eq!(io_port_word(0x3f8, 0x3ff), 0x03f8_03ff);
    }
}
