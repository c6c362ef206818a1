//! Instructions that were fetched and decoded before.
//!
//! The bytes are fetched each time, so code that changes is seen; what is saved
//! is decoding the same bytes again. An entry is right whatever is done to it.

use x86::Gva;

use super::place_of;
use crate::{DecodeError, Instruction, MAX_LENGTH, Operation, decode};

/// Kernels trap at few places often.
const PLACES: usize = 64;

/// The bytes as two words, which share a byte: compared without a call.
#[inline]
const fn halves(bytes: &[u8; MAX_LENGTH]) -> [Option<&[u8; 8]>; 2] {
    [bytes.first_chunk(), bytes.last_chunk()]
}

/// Bytes and what they decode to.
pub struct Fetched([([u8; MAX_LENGTH], Instruction); PLACES]);

impl Fetched {
    /// Nothing that costs anything to decode.
    pub const fn new() -> Self {
        let mut bytes = [0; MAX_LENGTH];
        [bytes[0], bytes[1]] = [0x0f, 0x0b];
        let instruction = Instruction { length: 2, operation: Operation::Ud2 };
        Self([(bytes, instruction); PLACES])
    }

    /// Decodes `bytes`, which were fetched at `rip`.
    ///
    /// # Errors
    /// As [`decode`].
    #[inline]
    pub fn decode(
        &mut self,
        rip: Gva,
        bytes: &[u8; MAX_LENGTH],
    ) -> Result<Instruction, DecodeError> {
        match self.0.get(place_of(rip.get(), PLACES)) {
            Some((known, instruction)) if halves(known) == halves(bytes) => Ok(*instruction),
            _ => self.decode_anew(rip, bytes),
        }
    }

    #[cold]
    fn decode_anew(
        &mut self,
        rip: Gva,
        bytes: &[u8; MAX_LENGTH],
    ) -> Result<Instruction, DecodeError> {
        let instruction = decode(bytes)?;
        if let Some(place) = self.0.get_mut(place_of(rip.get(), PLACES)) {
            *place = (*bytes, instruction);
        }
        Ok(instruction)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes of which many are instructions, padded.
    fn bytes() -> impl Strategy<Value = [u8; MAX_LENGTH]> {
        let starts = prop_oneof![
            Just(vec![0x0f, 0x0b]),
            Just(vec![0xfa]),
            Just(vec![0x0f, 0x22, 0xd8]),
            Just(vec![0xee]),
            Just(vec![0x48, 0xcf]),
            proptest::collection::vec(any::<u8>(), 1..4),
        ];
        (starts, prop_oneof![Just(0), any::<u8>()]).prop_map(|(start, rest)| {
            let mut bytes = [rest; MAX_LENGTH];
            bytes[..start.len()].copy_from_slice(&start);
            bytes
        })
    }

    proptest! {
        #[test]
        fn what_was_seen_before_does_not_matter(all in proptest::collection::vec((0_u64..3, bytes()), 1..40)) {
            let mut fetched = Fetched::new();
            for (place, bytes) in &all {
                let rip = Gva::new(0x1000 + place);
                prop_assert_eq!(fetched.decode(rip, bytes), decode(bytes));
            }
        }
    }
}
