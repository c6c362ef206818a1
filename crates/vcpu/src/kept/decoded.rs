//! Decoded instructions that are known by address.
//!
//! They come from a table that never changes, so no entry is ever wrong.

use super::{NOWHERE, place_of};
use crate::{Instruction, Operation, Original, Trap, decode};

/// Kernels trap at few places often.
const PLACES: usize = 64;

/// Instructions that were needed lately, with their addresses.
pub struct Decoded([(u64, Instruction); PLACES]);

impl Decoded {
    /// None yet.
    pub const fn new() -> Self {
        let nothing = Instruction { length: 1, operation: Operation::Ud2 };
        Self([(NOWHERE, nothing); PLACES])
    }

    /// The trap of the instruction at `rip`, which `find` looks up if it is not
    /// here; `None` if it finds nothing.
    #[inline]
    pub fn trap(&mut self, rip: u64, find: impl FnOnce() -> Option<Original>) -> Option<Trap> {
        match self.0.get(place_of(rip, PLACES)) {
            Some((at, instruction)) if *at == rip => Some(Trap::Known(*instruction)),
            _ => self.decode(rip, find()?),
        }
    }

    #[cold]
    fn decode(&mut self, rip: u64, original: Original) -> Option<Trap> {
        let instruction = match decode(original.as_slice()) {
            Ok(instruction) if instruction.length == original.length => instruction,
            _ => return Some(Trap::Rewritten(original)),
        };
        if let Some(place) = self.0.get_mut(place_of(rip, PLACES)) {
            *place = (rip, instruction);
        }
        Some(Trap::Known(instruction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(bytes: &[u8]) -> Original {
        let mut all = [0; crate::MAX_LENGTH];
        all[..bytes.len()].copy_from_slice(bytes);
        Original { bytes: all, length: bytes.len() as u8 }
    }

    #[test]
    fn the_second_time_nothing_is_looked_up() {
        let mut decoded = Decoded::new();
        let cli = original(&[0xfa]);
        let expected = Some(Trap::Known(decode(&[0xfa]).unwrap()));
        assert_eq!(decoded.trap(0x1000, || Some(cli)), expected);
        assert_eq!(decoded.trap(0x1000, || panic!("looked up")), expected);
        assert_eq!(decoded.trap(0x2000, || None), None);
    }

    #[test]
    fn what_does_not_decode_to_its_length_is_left_to_the_executor() {
        let mut decoded = Decoded::new();
        let two = original(&[0xfa, 0x90]);
        for _ in 0..2 {
            assert_eq!(decoded.trap(0x1000, || Some(two)), Some(Trap::Rewritten(two)));
        }
    }
}
