//! The pages of sequences, and their entries.

use guest_runtime::bits::{ACCESSED, DIRTY, PRESENT, USER, WRITABLE};
use guest_runtime::instruction::invalidate_page;
use guest_runtime::{Memory, Page};

use crate::layout::{CODE, DATA};

const WORDS: u64 = 512;
/// Words of the other pages that sequences reach.
const OTHER_WORDS: u64 = 64;

/// Code, data, a read-only page and one of the kernel's, which all sequences share.
pub struct Pages {
    code: Page,
    data: Page,
    /// The level-1 table.
    table: Page,
    others: [Page; 2],
}

impl Pages {
    /// Maps them.
    pub fn map(memory: &mut Memory) -> Self {
        let pages = Self {
            code: memory.page(),
            data: memory.page(),
            table: memory.leaf(CODE).0,
            others: [memory.page(), memory.page()],
        };
        // The upper entries of these addresses belong to them alone.
        memory.open_to_users(CODE);
        pages
    }

    fn entries(&self) -> [(u64, u64); 4] {
        let [read_only, kernel] = self.others;
        [
            (CODE, self.code.address() | PRESENT | WRITABLE | USER),
            (DATA, self.data.address() | PRESENT | WRITABLE | USER),
            (DATA + 0x2000, read_only.address() | PRESENT | USER),
            (DATA + 0x3000, kernel.address() | PRESENT | WRITABLE),
        ]
    }

    /// Puts `bytes` where code stands, and everything else as it was at first.
    pub fn reset(&self, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0x90; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.code.write(index as u64, u64::from_le_bytes(word));
        }
        for index in 0..WORDS {
            self.data.write(index, index.wrapping_mul(0x0101_0101_0101_0101));
        }
        for page in self.others {
            (0..OTHER_WORDS).for_each(|index| page.write(index, index));
        }
        for (address, entry) in self.entries() {
            self.table.write(address / 4096 % WORDS, entry);
            invalidate_page(address);
        }
    }

    /// Digest of what sequences can change: the data page, what they reach of the
    /// others, and A and D of all.
    pub fn digest(&self) -> u64 {
        // Odd multipliers lose nothing, and one for each word is quick.
        let mut sum = 0_u64;
        let mut take = |word: u64| {
            sum = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        };
        (0..WORDS).for_each(|index| take(self.data.read(index)));
        for page in self.others {
            (0..OTHER_WORDS).for_each(|index| take(page.read(index)));
        }
        self.accessed_and_dirty().into_iter().for_each(take);
        sum
    }

    /// The A and D bits of each page.
    pub fn accessed_and_dirty(&self) -> [u64; 4] {
        self.entries()
            .map(|(address, _)| self.table.read(address / 4096 % WORDS) & (ACCESSED | DIRTY))
    }
}
