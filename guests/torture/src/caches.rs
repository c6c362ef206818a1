//! What TLB and paging-structure caches may hold, so that the guest
//! invalidates where the architecture demands it, and nowhere else.
//!
//! A processor may look up any address at any time and keep what it finds (SDM
//! vol. 3A, §4.10.2.3 and §4.10.3.1), so what matters is not what was accessed
//! but what the tables said since the processor last had to drop it. Before an
//! entry changes, everything that the tables say is recorded; an access is well
//! defined if all that its address might hit says what the tables say now.
//!
//! Of two liberties that the manual gives no use is made, because the bare
//! machine, QEMU's TCG, does not take them: looking up an address that is not
//! accessed sets no A bits, so entries without A are not cached; and a page
//! fault need not drop what is cached for its address.

use crate::address::{PAGES, VirtualPage, WIDTH};
use crate::walk::{Access, Tables, Walk, bits};

/// The first entries of some walk.
#[derive(Clone, Copy, Debug)]
struct Cached {
    values: [u64; 4],
    depth: usize,
}

impl Cached {
    /// The first `depth` entries of a walk, if a processor may keep them.
    fn of(walk: &Walk, depth: usize) -> Option<Self> {
        let steps = walk.steps().get(..depth)?;
        let mut values = [0; 4];
        for (value, step) in values.iter_mut().zip(steps) {
            *value = step.value;
        }
        let accessed = steps.iter().all(|step| step.value & bits::ACCESSED != 0);
        accessed.then_some(Self { values, depth })
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

/// What may be cached for one address, of one kind.
#[derive(Clone, Copy, Debug)]
enum Held {
    Nothing,
    One(Cached),
    /// Several that differ.
    Several,
}

impl Held {
    fn may_be_stale(&self, walk: &Walk) -> bool {
        match self {
            Self::Nothing => false,
            Self::One(cached) => !cached.agrees(walk),
            Self::Several => true,
        }
    }

    /// Adds the first `depth` entries of `walk`.
    fn add(&mut self, walk: &Walk, depth: usize) {
        let Some(cached) = Cached::of(walk, depth) else {
            return;
        };
        *self = if self.may_be_stale(walk) { Self::Several } else { Self::One(cached) };
    }
}

impl Held {
    /// Drops a part of a large page. Of several, others may remain.
    fn drop_large(&mut self) {
        if matches!(self, Self::One(cached) if cached.depth == 3) {
            *self = Self::Nothing;
        }
    }
}

/// What may be cached for the space in use.
#[derive(Debug)]
pub struct Caches {
    /// By the first index: entries of the root.
    roots: [Held; WIDTH],
    /// By the first two indices.
    level_3: [Held; WIDTH.pow(2)],
    /// By the first three indices.
    level_2: [Held; WIDTH.pow(3)],
    /// By page, whatever the size of what was mapped.
    translations: [Held; PAGES],
}

impl Caches {
    /// Empty caches.
    pub const fn new() -> Self {
        Self {
            roots: [Held::Nothing; WIDTH],
            level_3: [Held::Nothing; WIDTH.pow(2)],
            level_2: [Held::Nothing; WIDTH.pow(3)],
            translations: [Held::Nothing; PAGES],
        }
    }

    /// Whether an access to `page`, for which the tables say `walk`, might use
    /// something that memory no longer says.
    pub fn may_be_stale(&self, page: VirtualPage, walk: &Walk) -> bool {
        let hits = [
            self.roots[page.prefix(1)],
            self.level_3[page.prefix(2)],
            self.level_2[page.prefix(3)],
            self.translations[page.prefix(4)],
        ];
        hits.iter().any(|held| held.may_be_stale(walk))
    }

    /// The tables said `walk` for `page` until now.
    pub fn record(&mut self, page: VirtualPage, walk: &Walk) {
        let uppers = [
            &mut self.roots[page.prefix(1)],
            &mut self.level_3[page.prefix(2)],
            &mut self.level_2[page.prefix(3)],
        ];
        for (depth, upper) in (1..=walk.passed().len()).zip(uppers) {
            upper.add(walk, depth);
        }
        let depth = walk.steps().len();
        if walk.is_large() {
            // Part of the large page may have been looked up for a neighbour.
            for neighbour in page.neighbours() {
                self.translations[neighbour].add(walk, depth);
            }
        } else if walk.maps() {
            self.translations[page.prefix(4)].add(walk, depth);
        }
    }

    /// The word at `address` is about to change, and the tables say what they say by
    /// way of it until now.
    pub fn record_users(&mut self, tables: &impl Tables, root: u64, address: u64) {
        if !(1..=WIDTH as u64).contains(&(address % 4096 / 8)) {
            return; // no entry
        }
        for page in VirtualPage::all() {
            let walk = Walk::new(tables, root, page, Access::LOOK);
            if walk.steps().iter().any(|step| step.address == address) {
                self.record(page, &walk);
            }
        }
    }

    /// INVLPG of an address of `page`, which drops all upper entries, and all
    /// parts of a large page if the tables map one now (§4.10.4.1), but not
    /// what was there before for other addresses.
    pub fn invalidate(&mut self, page: VirtualPage, large: bool) {
        if large {
            for neighbour in &mut self.translations[page.neighbours()] {
                neighbour.drop_large();
            }
        }
        self.translations[page.prefix(4)] = Held::Nothing;
        self.roots.fill(Held::Nothing);
        self.level_3.fill(Held::Nothing);
        self.level_2.fill(Held::Nothing);
    }

    /// MOV to CR3.
    pub fn flush(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use guest_runtime::Random;

    use super::*;
    use crate::walk::{Kind, Walked};

    /// One page at 4096 whose words are all the same.
    struct OnePage(u64);

    impl Tables for OnePage {
        fn read(&self, _: u64) -> u64 {
            self.0
        }
        fn owns(&self, address: u64) -> bool {
            address == 4096
        }
        fn reserved(&self) -> u64 {
            0
        }
    }

    const ENTRY: u64 = 4096 | bits::PRESENT | bits::ACCESSED;

    fn page() -> VirtualPage {
        VirtualPage::random(&mut Random::new(1))
    }

    fn walk(entry: u64) -> Walk {
        Walk::new(&OnePage(entry), 4096, page(), Access::LOOK)
    }

    #[test]
    fn status_bits_may_be_missing_in_the_cache_but_not_in_memory() {
        assert!(same(bits::ACCESSED, bits::ACCESSED | bits::DIRTY));
        assert!(!same(bits::ACCESSED | bits::DIRTY, bits::ACCESSED));
        assert!(same(1 << 9, 1 << 60));
        assert!(!same(bits::PRESENT, bits::PRESENT | bits::WRITABLE));
    }

    #[test]
    fn what_was_said_is_stale_until_it_is_invalidated_or_said_again() {
        let mut caches = Caches::new();
        caches.record(page(), &walk(ENTRY));
        assert!(!caches.may_be_stale(page(), &walk(ENTRY)));
        assert!(caches.may_be_stale(page(), &walk(0)));
        assert!(caches.may_be_stale(page(), &walk(ENTRY | bits::WRITABLE)));
        caches.invalidate(page(), false);
        assert!(!caches.may_be_stale(page(), &walk(0)));
    }

    #[test]
    fn two_that_differ_are_stale_whatever_is_said_now() {
        let mut caches = Caches::new();
        caches.record(page(), &walk(ENTRY));
        caches.record(page(), &walk(ENTRY | bits::WRITABLE));
        assert!(caches.may_be_stale(page(), &walk(ENTRY | bits::WRITABLE)));
        caches.flush();
        assert!(!caches.may_be_stale(page(), &walk(ENTRY)));
    }

    #[test]
    fn a_neighbour_loses_parts_of_a_large_page_only() {
        let [here, there] = [0, 1].map(|nth| VirtualPage::all().nth(nth).unwrap());
        let small = walk(ENTRY);
        let mut caches = Caches::new();
        caches.record(there, &small);
        caches.invalidate(here, true);
        assert!(caches.may_be_stale(there, &walk(0)));
        let mut large = Held::One(Cached::of(&small, 3).unwrap());
        large.drop_large();
        assert!(!large.may_be_stale(&walk(0)));
    }

    #[test]
    fn entries_that_are_absent_or_not_accessed_are_not_kept() {
        for entry in [0, ENTRY & !bits::ACCESSED, ENTRY & !bits::PRESENT] {
            let mut caches = Caches::new();
            caches.record(page(), &walk(entry));
            assert!(!caches.may_be_stale(page(), &walk(ENTRY)));
        }
    }

    /// A store to an entry that its own walk has given an A bit.
    #[test]
    fn what_a_store_reads_on_its_way_may_be_cached_before_it_stores() {
        let tables = OnePage(ENTRY & !bits::ACCESSED);
        let own = walk(tables.0);
        let word = own.steps()[3].address;
        let mut caches = Caches::new();
        caches.record_users(&tables, 4096, word);
        assert!(!caches.may_be_stale(page(), &walk(0)));
        let walked = Walked { tables: &tables, walk: &own, kind: Kind::Write };
        caches.record_users(&walked, 4096, word);
        assert!(caches.may_be_stale(page(), &walk(0)));
    }
}
