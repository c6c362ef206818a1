//! The word that describes a message.
//!
//! Low to high: length (7 bits), extra capabilities (2), unwrapped capabilities (3), label (20 or 52
//! bits, [`Abi::label_bits`](crate::dialect::Abi)). Values too wide are cut, as the kernel would.

use core::fmt;

use crate::{ABI, Word};

/// A message's label, its length in words and its numbers of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageInfo(Word);

const LENGTH_BITS: u32 = 7;
const EXTRA_CAPS_SHIFT: u32 = 7;
const UNWRAPPED_SHIFT: u32 = 9;
const LABEL_SHIFT: u32 = 12;

const fn mask(bits: u32) -> Word {
    (1 << bits) - 1
}

impl MessageInfo {
    /// Builds the word. `extra_caps` is at most 3, `length` at most 120.
    #[inline]
    pub const fn new(label: Word, caps_unwrapped: usize, extra_caps: usize, length: usize) -> Self {
        Self(
            (label & mask(ABI.label_bits)) << LABEL_SHIFT
                | (caps_unwrapped as Word & mask(3)) << UNWRAPPED_SHIFT
                | (extra_caps as Word & mask(2)) << EXTRA_CAPS_SHIFT
                | length as Word & mask(LENGTH_BITS),
        )
    }

    /// Takes a word as the kernel delivered it.
    #[inline]
    pub const fn from_word(word: Word) -> Self {
        Self(word)
    }

    /// The word for the kernel.
    #[inline]
    pub const fn into_word(self) -> Word {
        self.0
    }

    /// What the message is about; for a fault its kind, for a reply of the kernel its error.
    #[inline]
    pub const fn label(self) -> Word {
        self.0 >> LABEL_SHIFT & mask(ABI.label_bits)
    }

    /// Length in words. A sender may claim up to 127, more than the 120 that exist.
    #[inline]
    pub const fn length(self) -> usize {
        (self.0 & mask(LENGTH_BITS)) as usize
    }

    /// Capabilities sent along, or received.
    #[inline]
    pub const fn extra_caps(self) -> usize {
        (self.0 >> EXTRA_CAPS_SHIFT & mask(2)) as usize
    }

    /// One bit for each received capability that arrived as a badge instead.
    #[inline]
    pub const fn caps_unwrapped(self) -> usize {
        (self.0 >> UNWRAPPED_SHIFT & mask(3)) as usize
    }
}

impl fmt::Debug for MessageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageInfo")
            .field("label", &self.label())
            .field("length", &self.length())
            .field("extra_caps", &self.extra_caps())
            .field("caps_unwrapped", &self.caps_unwrapped())
            .finish()
    }
}

/// Builds a [`MessageInfo`] from the parts that are not zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageInfoBuilder {
    label: Word,
    extra_caps: usize,
    length: usize,
}

impl MessageInfoBuilder {
    /// Sets the label.
    pub const fn label(mut self, label: Word) -> Self {
        self.label = label;
        self
    }

    /// Sets the number of capabilities.
    pub const fn extra_caps(mut self, extra_caps: usize) -> Self {
        self.extra_caps = extra_caps;
        self
    }

    /// Sets the length in words.
    pub const fn length(mut self, length: usize) -> Self {
        self.length = length;
        self
    }

    /// Builds the word.
    pub const fn build(self) -> MessageInfo {
        MessageInfo::new(self.label, 0, self.extra_caps, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch() {
        let info = MessageInfo::new(0x5, 0, 3, 120);
        assert_eq!(info.into_word(), 0x5 << 12 | 3 << 7 | 120);
        assert_eq!((info.label(), info.extra_caps(), info.length()), (5, 3, 120));
        assert_eq!(MessageInfo::from_word(0b101 << 9).caps_unwrapped(), 5);
        assert_eq!(MessageInfoBuilder::default().label(5).extra_caps(3).length(120).build(), info);
    }

    #[test]
    fn padding_above_the_label_is_ignored() {
        let wide = 1 << ABI.label_bits;
        assert_eq!(MessageInfo::new(wide | 7, 0, 0, 0).label(), 7);
        if ABI.label_bits == 20 {
            assert_eq!(MessageInfo::from_word(1 << 40 | 7 << 12).label(), 7);
        }
    }
}
