//! What TLB and paging-structure caches may hold, so that the guest
//! invalidates where the architecture demands it, and nowhere else.
//!
//! Recorded is every translation and every upper entry that the processor may
//! have kept since it last had to drop it (SDM vol. 3A, §4.10.2 to §4.10.4).
//! An access is well defined if all that its address might hit says what the
//! tables in memory say. One liberty that the manual takes is not counted on:
//! that a page fault drops what is cached for its address. QEMU's TCG, the bare
//! machine, keeps it.

use crate::address::{PAGES, VirtualPage, WIDTH};
use crate::walk::{End, Kind, Walk, bits};

/// The first entries of some walk, A and D as they were afterwards.
#[derive(Clone, Copy, Debug)]
struct Cached {
    values: [u64; 4],
    depth: usize,
}

impl Cached {
    /// The first `depth` entries of a walk for an access of `kind`.
    fn of(walk: &Walk, depth: usize, kind: Kind) -> Self {
        let mut values = [0; 4];
        for (value, step) in values.iter_mut().zip(walk.steps()).take(depth) {
            *value = step.value | walk.sets(step.address, kind);
        }
        Self { values, depth }
    }

    /// Whether using this instead of the tables makes no difference.
    fn agrees(&self, walk: &Walk) -> bool {
        let steps = walk.steps();
        steps.len() >= self.depth
            && self.values[..self.depth]
                .iter()
                .zip(steps)
                .all(|(cached, step)| same(*cached, step.value))
    }
}

/// Whether a cached entry does what the one in memory does: it says the same,
/// and bits that the processor need not set again are set.
fn same(cached: u64, memory: u64) -> bool {
    let status = bits::ACCESSED | bits::DIRTY;
    (cached ^ memory) & !(bits::IGNORED | status) == 0 && cached & status & !memory == 0
}

/// Translations that may be cached for one page.
#[derive(Clone, Copy, Debug)]
enum Translation {
    None,
    One(Cached),
    /// Several that differ: part of a large page, and what was there before.
    Several,
}

impl Translation {
    fn may_be_stale(&self, walk: &Walk) -> bool {
        match self {
            Self::None => false,
            Self::One(cached) => !cached.agrees(walk),
            Self::Several => true,
        }
    }

    /// Adds what `walk` found.
    fn add(&mut self, walk: &Walk, kind: Kind) {
        *self = if self.may_be_stale(walk) {
            Self::Several
        } else {
            Self::One(Cached::of(walk, walk.steps().len(), kind))
        };
    }
}

/// What may be cached for the space in use.
#[derive(Debug)]
pub struct Caches {
    /// By the first index: entries of the root.
    roots: [Option<Cached>; WIDTH],
    /// By the first two indices.
    level_3: [Option<Cached>; WIDTH.pow(2)],
    /// By the first three indices.
    level_2: [Option<Cached>; WIDTH.pow(3)],
    /// By page, whatever the size of what was mapped.
    translations: [Translation; PAGES],
}

impl Caches {
    /// Empty caches.
    pub const fn new() -> Self {
        Self {
            roots: [None; WIDTH],
            level_3: [None; WIDTH.pow(2)],
            level_2: [None; WIDTH.pow(3)],
            translations: [Translation::None; PAGES],
        }
    }

    /// Whether an access to `page`, for which the tables say `walk`, might use
    /// something that memory no longer says.
    pub fn may_be_stale(&self, page: VirtualPage, walk: &Walk) -> bool {
        let uppers = [
            self.roots[page.prefix(1)],
            self.level_3[page.prefix(2)],
            self.level_2[page.prefix(3)],
        ];
        uppers.iter().flatten().any(|upper| !upper.agrees(walk))
            || self.translations[page.prefix(4)].may_be_stale(walk)
    }

    /// An access of `kind` was made, or tried, to `page`.
    pub fn record(&mut self, page: VirtualPage, walk: &Walk, kind: Kind) {
        let passed = walk.passed().len();
        let uppers = [
            &mut self.roots[page.prefix(1)],
            &mut self.level_3[page.prefix(2)],
            &mut self.level_2[page.prefix(3)],
        ];
        for (depth, upper) in (1..=passed).zip(uppers) {
            *upper = Some(Cached::of(walk, depth, kind));
        }
        if walk.is_large() {
            for neighbour in page.neighbours() {
                self.translations[neighbour].add(walk, kind);
            }
        } else if matches!(walk.end, End::Page(_)) {
            self.translations[page.prefix(4)].add(walk, kind);
        }
    }

    /// INVLPG of an address of `page`, which drops all upper entries, and all
    /// of a large page if the tables map one now (§4.10.4.1).
    pub fn invalidate(&mut self, page: VirtualPage, large: bool) {
        if large {
            self.translations[page.neighbours()].fill(Translation::None);
        }
        self.translations[page.prefix(4)] = Translation::None;
        self.roots.fill(None);
        self.level_3.fill(None);
        self.level_2.fill(None);
    }

    /// MOV to CR3.
    pub fn flush(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_bits_may_be_missing_in_the_cache_but_not_in_memory() {
        assert!(same(bits::ACCESSED, bits::ACCESSED | bits::DIRTY));
        assert!(!same(bits::ACCESSED | bits::DIRTY, bits::ACCESSED));
        assert!(same(1 << 9, 1 << 60));
        assert!(!same(bits::PRESENT, bits::PRESENT | bits::WRITABLE));
    }
}
