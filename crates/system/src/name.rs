//! Names of guests and processes: short ASCII, padded with zeros.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest name in bytes.
pub const NAME_BYTES: usize = 32;

/// A name as it stands in compiled structures: at most 32 bytes of
/// `[a-z0-9_/-]`, zero padded.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Name([u8; NAME_BYTES]);

impl Name {
    /// No name.
    pub const EMPTY: Self = Self([0; NAME_BYTES]);

    /// The name `text`, or `None` if it is empty, too long, or holds other
    /// characters than `[a-z0-9_/-]`.
    pub fn new(text: &str) -> Option<Self> {
        let legal = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/');
        if text.is_empty() || text.len() > NAME_BYTES || !text.as_bytes().iter().all(legal) {
            return None;
        }
        let mut bytes = [0; NAME_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }

    /// The text; bytes that are not ASCII end it, so that a damaged
    /// structure cannot harm a reader.
    pub fn as_str(&self) -> &str {
        let length =
            self.0.iter().position(|byte| *byte == 0 || !byte.is_ascii()).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.0[..length]).unwrap_or("")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(Name::new("web-1").unwrap().as_str(), "web-1");
        assert_eq!(Name::new(&"a".repeat(32)).unwrap().as_str().len(), 32);
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in ["", "Web", "a b", "a\n", &"a".repeat(33)] {
            assert_eq!(Name::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn damaged_names_are_cut() {
        assert_eq!(Name([0xff; 32]).as_str(), "");
    }
}
