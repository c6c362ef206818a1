//! What the TLB and the paging-structure caches of a vCPU may hold.

use std::hash::{Hash, Hasher};

use shadow_core::PagingContext;
use x86::Gfn;

use super::memory::Ram;
use super::reference::{self, Cached, Page};

/// What a vCPU's TLB may hold.
#[derive(Clone, Debug, Default)]
pub struct History {
    pages: Vec<Page>,
    /// What its paging-structure caches may hold.
    cached: Vec<Cached>,
}

impl History {
    /// Takes in what memory says now about `addresses`.
    pub fn observe(&mut self, ram: &Ram, root: Gfn, addresses: &[u64]) {
        for &va in addresses {
            let (pages, cached) = reference::loads(ram, root.base().get(), va, &self.cached);
            for page in pages {
                if !self.pages.contains(&page) {
                    self.pages.push(page);
                }
            }
            self.cached.extend(cached);
        }
    }

    /// Its contents, whatever the order in which they were seen.
    pub fn fingerprint(&self, state: &mut impl Hasher) {
        let mut sorted = self.clone();
        sorted.pages.sort_unstable();
        sorted.cached.sort_unstable();
        sorted.pages.hash(state);
        sorted.cached.hash(state);
    }

    /// INVLPG empties the paging-structure caches; a page fault takes out what
    /// concerns the address (SDM vol. 3A, §4.10.4.1).
    pub fn invalidate(&mut self, va: u64, by_fault: bool) {
        self.pages.retain(|page| !page.covers(va));
        self.cached
            .retain(|entry| by_fault && entry.prefix != va >> entry.covers);
    }

    /// Whether some TLB could let the access of a leaf with these rights pass.
    pub fn allows(&self, cpu: &PagingContext, va: u64, frame: u64, writable: bool) -> bool {
        self.pages.iter().any(|page| {
            let write_ok = page.d && (page.w || (!cpu.user && !cpu.write_protect));
            page.covers(va)
                && page.frame_of(va) == frame
                && page.a
                && (page.u || !cpu.user)
                && (write_ok || !writable)
        })
    }
}
