//! The pages of user code.

use guest_runtime::bits::{PRESENT, USER, WRITABLE};
use guest_runtime::{Memory, Page};

/// The page of code. The page before it is not there.
pub const CODE: u64 = 0x1_0000_0000;
/// Data and stack, [`DATA_PAGES`] of them.
pub const DATA: u64 = CODE + PAGE;
pub const DATA_PAGES: u64 = 4;
/// The last page that can be mapped under Umbriel.
pub const EDGE: u64 = 0x7fff_ffff_e000;
/// Bytes in a page.
pub const PAGE: u64 = 4096;

/// The pages, as the kernel writes to them.
pub struct Ground {
    code: Page,
    edge: Page,
}

impl Ground {
    /// Maps them.
    pub fn map(memory: &mut Memory) -> Self {
        let ground = Self { code: memory.page(), edge: memory.page() };
        map(memory, CODE, ground.code);
        for index in 0..DATA_PAGES {
            let page = memory.page();
            map(memory, DATA + PAGE * index, page);
        }
        map(memory, EDGE, ground.edge);
        ground
    }

    /// Puts code where [`CODE`] is, with an undefined instruction behind it.
    pub fn put(&self, parts: &[&[u8]]) {
        const UD2: [u8; 2] = [0x0f, 0x0b];
        let mut code = [0x90; 32];
        let bytes = parts.iter().copied().chain([&UD2[..]]).flatten();
        for (place, byte) in code.iter_mut().zip(bytes) {
            *place = *byte;
        }
        write(self.code, 0, &code);
    }

    /// Puts word number `index` where [`CODE`] is.
    pub fn put_word(&self, index: u64, word: u64) {
        self.code.write(index, word);
    }

    /// Puts code at the end of the page at [`EDGE`]; where it starts.
    pub fn put_at_edge(&self, code: &[u8]) -> u64 {
        let mut bytes = [0x90; 16];
        let start = bytes.len() - code.len();
        bytes[start..].copy_from_slice(code);
        write(self.edge, PAGE / 8 - 2, &bytes);
        EDGE + PAGE - code.len() as u64
    }
}

fn write(page: Page, first: u64, bytes: &[u8]) {
    for (index, chunk) in (first..).zip(bytes.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        page.write(index, u64::from_le_bytes(word));
    }
}

fn map(memory: &mut Memory, address: u64, page: Page) {
    memory.open_to_users(address);
    memory.set_entry(address, page.address() | PRESENT | WRITABLE | USER);
}
