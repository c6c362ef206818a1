//! What the TLB and the paging-structure caches of a vCPU may hold.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use shadow_core::PagingContext;
use x86::Gfn;

use super::memory::Ram;
use super::reference::{self, Cached, Load, Page};

/// What a vCPU's TLB may hold.
#[derive(Clone, Debug, Default)]
pub struct History {
    pages: BTreeSet<Page>,
    /// What its paging-structure caches may hold.
    cached: BTreeSet<Cached>,
    /// The root and how often memory had changed when it was looked at last.
    seen: Option<(Gfn, u64)>,
}

impl History {
    /// Takes in what memory says now about `addresses`, in ascending order: all
    /// that a processor may load from it and from its caches.
    pub fn observe(&mut self, ram: &Ram, root: Gfn, addresses: &[u64]) {
        let now = Some((root, ram.changes()));
        if self.seen == now {
            return;
        }
        self.seen = now;
        let mut open = vec![Cached::root(root.base().get())];
        open.extend(&self.cached);
        while let Some(from) = open.pop() {
            let first = addresses.partition_point(|va| va >> from.covers < from.prefix);
            let covered = addresses[first..].iter();
            let covered = covered.take_while(|&va| va >> from.covers == from.prefix);
            let mut last = None;
            for &va in covered {
                let entry = va >> (from.covers - 9);
                if last.replace(entry) == Some(entry) {
                    continue;
                }
                match reference::load(ram, &from, va) {
                    Some(Load::Page(page)) => {
                        self.pages.insert(page);
                    }
                    Some(Load::Table(below)) if self.cached.insert(below) => open.push(below),
                    _ => {}
                }
            }
        }
    }

    /// Its contents.
    pub fn fingerprint(&self, state: &mut impl Hasher) {
        self.pages.hash(state);
        self.cached.hash(state);
    }

    /// INVLPG empties the paging-structure caches; a page fault takes out what
    /// concerns the address (SDM vol. 3A, §4.10.4.1).
    pub fn invalidate(&mut self, va: u64, by_fault: bool) {
        self.seen = None;
        self.pages.retain(|page| !page.covers(va));
        self.cached.retain(|entry| by_fault && entry.prefix != va >> entry.covers);
    }

    /// Whether some TLB could let the access of a leaf with these rights pass.
    pub fn allows(&self, cpu: &PagingContext, va: u64, frame: u64, writable: bool) -> bool {
        let starts = [12, 21, 30].map(|bits| va >> bits << bits);
        let covering = starts.iter().flat_map(|&start| {
            let first = Page::first_at(start);
            self.pages.range(first..).take_while(move |page| page.va == start)
        });
        covering.into_iter().any(|page| {
            let write_ok = page.d && (page.w || (!cpu.user && !cpu.write_protect));
            page.covers(va)
                && page.frame_of(va) == frame
                && page.a
                && (page.u || !cpu.user)
                && (write_ok || !writable)
        })
    }
}
