//! What is known about each byte of a region.

/// An instruction begins here.
pub const START: u8 = 1 << 0;
/// A later byte of an instruction.
pub const BODY: u8 = 1 << 1;
/// Belongs to two instructions that begin at different bytes.
pub const OVERLAP: u8 = 1 << 2;
/// A symbol says that this is data.
pub const DATA: u8 = 1 << 3;
/// 32-bit code, which this guest never runs.
pub const OTHER_MODE: u8 = 1 << 4;
/// A label's code led from here to something that is none.
pub const FAILED: u8 = 1 << 5;
/// Found by linear sweep outside every function: perhaps code.
pub const PERHAPS: u8 = 1 << 6;

/// What keeps the sweep away.
pub const KNOWN: u8 = START | BODY | DATA | OTHER_MODE;

/// The marks of a region, one for each byte.
#[derive(Clone, Debug)]
pub struct Marks(Vec<u8>);

impl Marks {
    /// Nothing is known of `length` bytes.
    pub fn new(length: usize) -> Self {
        Self(vec![0; length])
    }

    /// The marks at `index`; none outside.
    pub fn at(&self, index: usize) -> u8 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// Adds `mark` to `length` bytes from `index` on.
    pub fn add(&mut self, index: usize, length: usize, mark: u8) {
        let end = index.saturating_add(length).min(self.0.len());
        if let Some(bytes) = self.0.get_mut(index..end) {
            bytes.iter_mut().for_each(|byte| *byte |= mark);
        }
    }

    /// Marks an instruction of `length` bytes; where it shares bytes with
    /// another one, both are marked as overlapping there.
    pub fn instruction(&mut self, index: usize, length: usize) {
        let taken = |mark: u8| mark & (START | BODY) != 0;
        let end = index.saturating_add(length).min(self.0.len());
        for at in index..end {
            if taken(self.0[at]) {
                self.0[at] |= OVERLAP;
            }
        }
        self.add(index, 1, START);
        self.add(index + 1, length.saturating_sub(1), BODY);
    }

    /// Whether an instruction of `length` bytes at `index` would share bytes
    /// with one that begins elsewhere, or with data.
    pub fn conflicts(&self, index: usize, length: usize) -> bool {
        let end = index.saturating_add(length).min(self.0.len());
        let rest = self.0.get(index + 1..end).unwrap_or(&[]);
        self.at(index) & (BODY | DATA) != 0 || rest.iter().any(|mark| mark & (START | DATA) != 0)
    }

    /// Whether the instruction of `length` bytes at `index` shares any byte.
    pub fn is_shared(&self, index: usize, length: usize) -> bool {
        let end = index.saturating_add(length).min(self.0.len());
        let bytes = self.0.get(index..end).unwrap_or(&[]);
        bytes.iter().any(|mark| mark & (OVERLAP | DATA) != 0)
            || bytes.iter().skip(1).any(|mark| mark & START != 0)
    }

    /// The runs `[start, end)` of bytes of which nothing is known.
    pub fn gaps(&self) -> Vec<(usize, usize)> {
        let mut gaps = Vec::new();
        let mut start = None;
        for (index, mark) in self.0.iter().enumerate() {
            match (mark & KNOWN == 0, start) {
                (true, None) => start = Some(index),
                (false, Some(from)) => {
                    gaps.push((from, index));
                    start = None;
                }
                _ => {}
            }
        }
        gaps.extend(start.map(|from| (from, self.0.len())));
        gaps
    }

    /// Where instructions begin.
    pub fn starts(&self, mark: u8) -> impl Iterator<Item = usize> + '_ {
        let marked = move |(index, byte): (usize, &u8)| (byte & mark != 0).then_some(index);
        self.0.iter().enumerate().filter_map(marked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_instructions_mark_the_bytes_they_share() {
        let mut marks = Marks::new(8);
        marks.instruction(0, 3);
        marks.instruction(3, 2);
        assert!(!marks.is_shared(0, 3) && !marks.is_shared(3, 2));
        assert!(marks.conflicts(1, 2));
        marks.instruction(1, 2);
        assert!(marks.is_shared(0, 3) && marks.is_shared(1, 2));
        assert_eq!(marks.gaps(), [(5, 8)]);
    }
}
