//! Bytes in message words, eight to a word, the first in the low byte.

/// The words that carry `bytes`; the last is filled up with zeros.
pub fn pack(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    })
}

/// The bytes in `words`.
pub fn unpack(words: impl Iterator<Item = u64>) -> impl Iterator<Item = u8> {
    words.flat_map(u64::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for length in 0..30 {
            let bytes: Vec<u8> = (1..=length).collect();
            let words: Vec<u64> = pack(&bytes).collect();
            assert_eq!(words.len(), bytes.len().div_ceil(8));
            let back: Vec<u8> = unpack(words.into_iter()).take(bytes.len()).collect();
            assert_eq!(back, bytes);
        }
    }
}
