//! A running digest of what a guest saw, to compare two runs by one number.

/// FNV-1a over 64 bits: shows a difference, proves nothing against malice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// The digest of nothing.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in eight bytes.
    pub fn word(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The digest so far.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_matters() {
        let of = |words: [u64; 2]| {
            let mut digest = Digest::new();
            words.into_iter().for_each(|word| digest.word(word));
            digest.value()
        };
        assert_ne!(of([1, 2]), of([2, 1]));
        assert_eq!(of([1, 2]), of([1, 2]));
    }
}
