//! The random program: its state and its operations.

use guest_runtime::instruction::{invalidate_page, write_cr3};
use guest_runtime::{Digest, Page, Random, println};

use crate::address::{VirtualPage, WIDTH};
use crate::attempt;
use crate::caches::Caches;
use crate::pool::{self, Pool};
use crate::walk::{Access, Kind, Walk, Walked, bits};
use crate::wrong::Wrong;

/// Words of a page that operations use besides those that are entries.
pub const DATA_WORDS: [u64; 3] = [8, 100, 509];

/// What happened how often.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Accesses that went through.
    pub accesses: u64,
    /// … in user mode.
    pub user: u64,
    /// … through a large page.
    pub large: u64,
    /// Page faults.
    pub faults: u64,
    /// Accesses not made, because they lead out of the pool.
    pub skipped: u64,
    /// INVLPG or CR3 loads that an access needed.
    pub needed: u64,
    /// Loads of CR3 with another root.
    pub switches: u64,
}

/// The program's state.
pub struct Program {
    pub(crate) random: Random,
    pub(crate) pool: Pool,
    pub(crate) caches: Caches,
    pub(crate) root: Page,
    pub(crate) write_protect: bool,
    pub(crate) last: VirtualPage,
    pub(crate) trace: bool,
    /// Digest of all that was seen.
    pub digest: Digest,
    /// What happened.
    pub counts: Counts,
}

impl Program {
    /// Fills the pool with random entries and enters a space. To be called once.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let pool = Pool::new();
        for number in 0..pool::PAGES {
            for index in 1..=WIDTH as u64 {
                let entry = pool.entry(&mut random);
                pool.page(number).write(index, entry);
            }
        }
        let mut program = Self {
            root: pool.page(0),
            last: VirtualPage::random(&mut random),
            random,
            pool,
            caches: Caches::new(),
            write_protect: true,
            trace: false,
            digest: Digest::new(),
            counts: Counts::default(),
        };
        attempt::set_write_protect(true);
        program.load_root();
        program
    }

    /// Prints operations from now on.
    pub fn trace(&mut self) {
        self.trace = true;
    }

    /// Does the next operation.
    ///
    /// # Errors
    /// If the processor did not do what the tables in memory say.
    pub fn step(&mut self) -> Result<(), Wrong> {
        match self.random.below(32) {
            0..8 => self.write_entry(),
            8..24 => return self.access(),
            24 => self.clear_status(),
            25 => self.change_rights(),
            26 => self.switch_space(),
            27 => self.load_root(),
            28 => self.invalidate_any(),
            29 => self.toggle_write_protect(),
            30 => self.copy_table(),
            _ => self.map_itself(),
        }
        Ok(())
    }

    /// Takes all words in use into the digest.
    pub fn digest_pool(&mut self) {
        for number in 0..pool::PAGES {
            let page = self.pool.page(number);
            for word in (1..=WIDTH as u64).chain(DATA_WORDS) {
                self.digest.word(page.read(word));
            }
        }
    }

    fn any_entry(&mut self) -> (Page, u64) {
        let page = self.pool.any(&mut self.random);
        (page, 1 + self.random.below(WIDTH as u64))
    }

    pub(crate) fn set(&mut self, (page, index): (Page, u64), entry: u64) {
        if self.trace {
            println!("  [{:#x}] := {entry:#x}", page.address() + index * 8);
        }
        self.before_change(page.address() + index * 8);
        page.write(index, entry);
    }

    /// Records what the tables say by way of the word at `address`, which is
    /// about to change.
    pub(crate) fn before_change(&mut self, address: u64) {
        self.caches.record_users(&self.pool, self.root.address(), address);
    }

    /// As [`Self::before_change`], where the change is a store: its own walk sets A
    /// and D first, so that other addresses may be looked up by way of entries that
    /// had no A before.
    pub(crate) fn before_store(&mut self, address: u64, walk: &Walk) {
        let walked = Walked { tables: &self.pool, walk, kind: Kind::Write };
        self.caches.record_users(&walked, self.root.address(), address);
    }

    fn write_entry(&mut self) {
        let place = self.any_entry();
        let entry = self.pool.entry(&mut self.random);
        self.set(place, entry);
    }

    fn clear_status(&mut self) {
        let (page, index) = self.any_entry();
        let entry = page.read(index);
        self.digest.word(entry);
        self.set((page, index), entry & !(bits::ACCESSED | bits::DIRTY));
    }

    fn change_rights(&mut self) {
        let (page, index) = self.any_entry();
        let flip = [bits::PRESENT, bits::WRITABLE, bits::USER][self.random.below(3) as usize];
        self.set((page, index), page.read(index) ^ flip);
    }

    fn map_itself(&mut self) {
        let (page, index) = self.any_entry();
        let rights = bits::PRESENT | bits::WRITABLE | bits::USER;
        self.set((page, index), page.address() | rights);
    }

    fn copy_table(&mut self) {
        let from = self.pool.any(&mut self.random);
        let to = self.pool.any(&mut self.random);
        for index in 1..=WIDTH as u64 {
            self.set((to, index), from.read(index));
        }
    }

    #[allow(unsafe_code)] // CR3
    pub(crate) fn load_root(&mut self) {
        if self.trace {
            println!("  CR3 := {:#x}", self.root.address());
        }
        // SAFETY: word 0 of every pool page maps the guest.
        unsafe { write_cr3(self.root.address()) };
        self.caches.flush();
    }

    fn switch_space(&mut self) {
        self.root = self.pool.any(&mut self.random);
        self.counts.switches += 1;
        self.load_root();
    }

    fn invalidate_any(&mut self) {
        let page = VirtualPage::random(&mut self.random);
        self.invalidate(page);
    }

    pub(crate) fn invalidate(&mut self, page: VirtualPage) {
        if self.trace {
            println!("  INVLPG {:#x}", page.address());
        }
        let walk = Walk::new(&self.pool, self.root.address(), page, Access::LOOK);
        invalidate_page(page.address());
        self.caches.invalidate(page, walk.is_large());
    }

    fn toggle_write_protect(&mut self) {
        self.write_protect = !self.write_protect;
        if self.trace {
            println!("  CR0.WP := {}", self.write_protect);
        }
        attempt::set_write_protect(self.write_protect);
    }
}
