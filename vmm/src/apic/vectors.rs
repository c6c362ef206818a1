//! A set of interrupt vectors.

/// The set; a higher vector has a higher priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vectors([u64; 4]);

impl Vectors {
    /// The empty set.
    pub const NONE: Self = Self([0; 4]);

    const fn place(vector: u8) -> (usize, u64) {
        ((vector >> 6) as usize, 1 << (vector & 63))
    }

    /// Adds `vector`.
    pub const fn insert(&mut self, vector: u8) {
        let (word, bit) = Self::place(vector);
        self.0[word] |= bit;
    }

    /// Removes `vector`; whether it was there.
    pub const fn remove(&mut self, vector: u8) -> bool {
        let (word, bit) = Self::place(vector);
        let was = self.0[word] & bit != 0;
        self.0[word] &= !bit;
        was
    }

    /// The highest one.
    pub fn highest(&self) -> Option<u8> {
        let (number, word) = (0..4_u8).zip(self.0).rev().find(|(_, word)| *word != 0)?;
        Some(number * 64 + 63 - word.leading_zeros() as u8)
    }

    /// 32 of them from `32 * number` on, as the registers show them; the number
    /// is taken modulo 8.
    pub const fn word(&self, number: u32) -> u32 {
        (self.0[(number >> 1 & 3) as usize] >> (32 * (number & 1))) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vector_has_its_bit() {
        for vector in 0..=255_u8 {
            let mut set = Vectors::NONE;
            set.insert(vector);
            assert_eq!(set.highest(), Some(vector));
            for number in 0..8 {
                let expected = match number == u32::from(vector) / 32 {
                    true => 1 << (vector % 32),
                    false => 0,
                };
                assert_eq!(set.word(number), expected);
            }
            set.insert(0);
            assert!(set.remove(vector) && (!set.remove(vector)));
            assert_eq!(set.highest(), (vector != 0).then_some(0));
        }
    }
}
