//! Translations that accesses on behalf of a vCPU keep, as its TLB may.
//!
//! Delivering an exception touches the same few pages again and again: IDT,
//! GDT, stack, the handler's code. Each entry is the outcome of one walk with
//! one kind of right, and goes at every event that flushes a TLB: MOV CR3 and
//! changes of the paging mode take all, INVLPG takes the GiB around its page (which
//! may be part of a superpage), a delivered page fault takes its own page.
//! Xen's `SHOPT_VIRTUAL_TLB` does the same for its emulator.

use x86::{Gpa, Gva};

/// Entries; a page has one place.
const ENTRIES: usize = 128;

#[derive(Clone, Copy)]
struct Entry {
    /// Page address, with kind of access and epoch in the low bits; 0 for none.
    tag: u64,
    frame: Gpa,
}

const VALID: u64 = 1;
const USER: u64 = 2;
const WRITE: u64 = 4;
/// Bits of a tag that hold the epoch.
const EPOCH_SHIFT: u32 = 3;
const EPOCHS: u64 = 1 << (12 - EPOCH_SHIFT);
/// Epochs that are counted apart.
const REGIONS: usize = 4;

/// Which epoch counts for an address.
const fn region(gva: Gva) -> usize {
    (gva.get() >> 30) as usize % REGIONS
}

/// A vCPU's kept translations.
pub struct Translations {
    entries: [Entry; ENTRIES],
    /// Entries of another epoch are forgotten; addresses of one GiB share one.
    epochs: [u64; REGIONS],
}

/// Reads and writes have places of their own: a write's walk sets D.
const fn place(gva: Gva, write: bool) -> usize {
    let page = (gva.get() >> 12) as usize;
    let half = if write { ENTRIES / 2 } else { 0 };
    (page ^ (page >> 9)) % (ENTRIES / 2) + half
}

/// Begins the next epoch; `true` if there is none left.
const fn begin(epoch: &mut u64) -> bool {
    *epoch += 1;
    *epoch == EPOCHS
}

impl Translations {
    /// None yet.
    pub const fn new() -> Self {
        Self { entries: [Entry { tag: 0, frame: Gpa::new(0) }; ENTRIES], epochs: [0; REGIONS] }
    }

    #[inline]
    fn tag(&self, gva: Gva, user: bool, write: bool) -> u64 {
        let epoch = self.epochs.get(region(gva)).copied().unwrap_or(0);
        let user = if user { USER } else { 0 };
        let write = if write { WRITE } else { 0 };
        gva.page_base().get() | (epoch << EPOCH_SHIFT) | write | user | VALID
    }

    /// Where `gva` lies, if a walk of that kind is remembered.
    #[inline]
    pub fn find(&self, gva: Gva, user: bool, write: bool) -> Option<Gpa> {
        let entry = self.entries.get(place(gva, write))?;
        (entry.tag == self.tag(gva, user, write))
            .then(|| Gpa::new(entry.frame.get() | gva.page_offset()))
    }

    /// Remembers that `gva` lies at `gpa`.
    pub fn keep(&mut self, gva: Gva, user: bool, write: bool, gpa: Gpa) {
        let tag = self.tag(gva, user, write);
        if let Some(entry) = self.entries.get_mut(place(gva, write)) {
            *entry = Entry { tag, frame: gpa.gfn().base() };
        }
    }

    /// Forgets the page of `gva`.
    pub fn forget(&mut self, gva: Gva) {
        let page = gva.page_base().get();
        for place in [place(gva, false), place(gva, true)] {
            match self.entries.get_mut(place) {
                Some(entry) if entry.tag & !0xfff == page => entry.tag = 0,
                _ => {}
            }
        }
    }

    /// Forgets the GiB around `gva`, the largest page that may hold it.
    pub fn forget_around(&mut self, gva: Gva) {
        let epoch = self.epochs.get_mut(region(gva));
        if epoch.is_some_and(begin) {
            *self = Self::new();
        }
    }

    /// Forgets everything.
    pub fn forget_all(&mut self) {
        if self.epochs.iter_mut().fold(false, |out, epoch| begin(epoch) | out) {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Gva = Gva::new(0x40_3000);
    const FRAME: Gpa = Gpa::new(0x7000);

    /// The kinds of access, as `find` takes them, for which `PAGE` is kept.
    fn kept(translations: &Translations) -> Vec<(bool, bool)> {
        let kinds = [(false, false), (false, true), (true, false), (true, true)];
        let is_kept = |&(user, write): &(bool, bool)| {
            let found = translations.find(PAGE.wrapping_add(8), user, write);
            assert!(found.is_none_or(|gpa| gpa == Gpa::new(0x7008)));
            found.is_some()
        };
        kinds.into_iter().filter(is_kept).collect()
    }

    #[test]
    fn each_kind_of_access_has_its_own_translation() {
        let mut translations = Translations::new();
        assert_eq!(kept(&translations), []);
        translations.keep(PAGE, false, false, FRAME);
        assert_eq!(kept(&translations), [(false, false)]);
        translations.keep(PAGE, true, true, FRAME);
        assert_eq!(kept(&translations), [(false, false), (true, true)]);
        assert_eq!(translations.find(Gva::new(0x1000), false, false), None);
    }

    #[test]
    fn flushes_forget() {
        let mut translations = Translations::new();
        for write in [false, true] {
            translations.keep(PAGE, false, write, FRAME);
        }
        translations.forget(Gva::new(0x1000));
        assert_eq!(kept(&translations).len(), 2);
        translations.forget(PAGE.wrapping_add(0xfff));
        assert_eq!(kept(&translations), []);
        // A page elsewhere in the GiB, until epochs begin anew, and beyond.
        for _ in 0..=EPOCHS + 1 {
            translations.keep(PAGE, true, false, FRAME);
            translations.forget_around(Gva::new(0x3fff_ffff));
            assert_eq!(kept(&translations), []);
        }
        // One in the next GiB.
        translations.keep(PAGE, true, false, FRAME);
        translations.forget_around(PAGE.wrapping_add(1 << 30));
        assert_eq!(kept(&translations).len(), 1);
        for _ in 0..=EPOCHS + 1 {
            translations.keep(PAGE, true, false, FRAME);
            translations.forget_all();
            assert_eq!(kept(&translations), []);
        }
    }
}
