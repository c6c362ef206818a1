//! The virtual pages in use: two indices of each level.

/// Indices of levels 1 to 4 that pages use.
const INDICES: [[u64; 2]; 4] = [[0, 511], [3, 511], [0, 511], [0, 200]];
/// How many there are.
pub const PAGES: u8 = 16;

/// A virtual page, by its number below [`PAGES`]: a bit for each level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualPage(pub u8);

impl VirtualPage {
    /// Its address.
    pub fn address(self) -> u64 {
        self.start(0)
    }

    /// Where the table of `level`, from 1, that covers it begins: a multiple of
    /// what that table covers.
    pub fn table_address(self, level: u8) -> u64 {
        self.start(usize::from(level))
    }

    /// Its address without the indices below `level`, from 0.
    fn start(self, level: usize) -> u64 {
        let indices = INDICES.iter().enumerate().skip(level);
        let parts = indices
            .map(|(below, choice)| choice[usize::from(self.0 >> below & 1)] << (12 + 9 * below));
        parts.sum()
    }
}
