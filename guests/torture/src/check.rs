//! Accesses: made, and checked against the tables in memory.

use guest_runtime::{Page, println};

use crate::address::{VirtualPage, WIDTH};
use crate::attempt::{self, Seen, attempt};
use crate::program::{DATA_WORDS, Program};
use crate::walk::{Access, End, Kind, Step, Tables, Walk, bits};
use crate::wrong::{What, Wrong};

/// An access: what it is, and where.
#[derive(Clone, Copy, Debug)]
struct Plan {
    page: VirtualPage,
    access: Access,
    offset: u64,
    value: u64,
}

impl Program {
    /// Makes an access. Sometimes what makes it fault is repaired, as a demand
    /// pager does, and it is made again.
    ///
    /// # Errors
    /// If the processor did not do what the tables in memory say.
    pub fn access(&mut self) -> Result<(), Wrong> {
        let plan = self.plan();
        let repairs = self.random.below(5);
        for _ in 0..repairs {
            self.make(plan)?;
            if !self.repair(plan) {
                return Ok(());
            }
        }
        self.make(plan)
    }

    /// Sets right the first entry that makes the access of `plan` fault;
    /// false if none does.
    fn repair(&mut self, plan: Plan) -> bool {
        let rights = bits::PRESENT | bits::WRITABLE | bits::USER;
        let walk = self.walk(plan);
        let Some(last) = walk.steps().last().filter(|_| walk.end != End::Elsewhere) else {
            return false;
        };
        let place = |step: &Step| (Page::at(step.address & !0xfff), step.address % 4096 / 8);
        match walk.end {
            End::Fault(_) if walk.is_protection() => {
                for step in walk.steps() {
                    self.set(place(step), self.pool.read(step.address) | rights);
                }
            }
            End::Fault(_) => {
                let target = self.pool.any(&mut self.random).address();
                self.set(place(last), target | rights);
            }
            End::Page(_) | End::Elsewhere => return false,
        }
        true
    }

    fn make(&mut self, plan: Plan) -> Result<(), Wrong> {
        let mut walk = self.walk(plan);
        if walk.end == End::Elsewhere {
            self.counts.skipped += 1;
            return Ok(());
        }
        if matches!(walk.end, End::Fault(_)) {
            self.set_accessed(&walk);
            walk = self.walk(plan);
        }
        if self.caches.may_be_stale(plan.page, &walk) {
            self.counts.needed += 1;
            if self.random.once_in(8) {
                self.load_root();
            } else {
                self.invalidate(plan.page);
            }
        }
        self.carry_out(plan, &walk)
    }

    fn plan(&mut self) -> Plan {
        let random = &mut self.random;
        let page = if random.once_in(2) { self.last } else { VirtualPage::random(random) };
        self.last = page;
        let kind = [Kind::Read, Kind::Read, Kind::Write, Kind::Write, Kind::Execute]
            [random.below(5) as usize];
        let entry_word = 1 + random.below(WIDTH as u64);
        let data_word = DATA_WORDS[random.below(DATA_WORDS.len() as u64) as usize];
        // Writes to entries are fewer, and mostly entries, so that tables last.
        let in_entry = random.once_in(if kind == Kind::Write { 4 } else { 2 });
        let value = if random.once_in(8) { random.word() } else { self.pool.entry(random) };
        Plan {
            page,
            access: Access { kind, user: random.once_in(3), write_protect: self.write_protect },
            offset: 8 * if in_entry { entry_word } else { data_word },
            value,
        }
    }

    fn walk(&self, plan: Plan) -> Walk {
        Walk::new(&self.pool, self.root.address(), plan.page, plan.access)
    }

    /// Sets A where a walk that fails has passed, and in an entry that it found
    /// to have reserved bits. Processors may do that or not (SDM vol. 3A,
    /// §4.8); this way both come to the same.
    fn set_accessed(&mut self, walk: &Walk) {
        let reserved = walk.steps().last().filter(|_| walk.is_reserved());
        for step in walk.passed().iter().chain(reserved) {
            let entry = self.pool.read(step.address);
            self.pool.write(step.address, entry | bits::ACCESSED);
        }
    }

    fn carry_out(&mut self, plan: Plan, walk: &Walk) -> Result<(), Wrong> {
        let wrong = |what| Wrong { page: plan.page, access: plan.access, walk: *walk, what };
        let Plan { access, offset, .. } = plan;
        let address = plan.page.address();
        let (wanted, word) = self.prediction(plan, walk);
        if self.trace {
            println!("  {access:?} {:#x} {:x?}", address + offset, walk.end);
        }
        let stored = word.filter(|_| access.kind == Kind::Write);
        if let Some(word) = stored {
            self.before_store(word, walk);
        }
        let seen = attempt(address, offset, plan.value, access);
        self.observe(seen, access, walk);
        // A write may have changed an entry that it had just used.
        if matches!(walk.end, End::Page(_)) {
            self.caches.record(plan.page, &walk.afterwards(access.kind));
        }
        if seen != wanted {
            return Err(wrong(What::Seen { wanted, seen }));
        }
        for step in walk.steps() {
            if Some(step.address) == stored {
                continue;
            }
            let sets = match walk.end {
                End::Page(_) => walk.sets(step.address, access.kind),
                _ => 0,
            };
            let (wanted, seen) = (step.value | sets, self.pool.read(step.address));
            self.digest.word(seen);
            if seen != wanted {
                let address = step.address;
                return Err(wrong(What::Entry { address, wanted, seen }));
            }
        }
        if let Some(word) = stored {
            let seen = self.pool.read(word);
            self.digest.word(seen);
            if seen != plan.value {
                let wanted = plan.value;
                return Err(wrong(What::Store { wanted, seen }));
            }
        }
        Ok(())
    }

    /// What must be seen, and the physical address of the word, if any.
    fn prediction(&self, plan: Plan, walk: &Walk) -> (Seen, Option<u64>) {
        let Plan { access, offset, .. } = plan;
        match walk.end {
            End::Page(frame) => {
                let word = frame + offset;
                // The walk's own updates come first.
                let value = match access.kind {
                    Kind::Read => self.pool.read(word) | walk.sets(word, Kind::Read),
                    _ => 0,
                };
                (Seen::Value(value), Some(word))
            }
            End::Fault(code) => {
                let address = attempt::target(plan.page.address(), offset, access);
                (Seen::Fault { code, address }, None)
            }
            End::Elsewhere => (Seen::Trap(0), None),
        }
    }

    fn observe(&mut self, seen: Seen, access: Access, walk: &Walk) {
        let words = match seen {
            Seen::Value(value) => [0, value],
            Seen::Fault { code, address } => [1 + code, address],
            Seen::Trap(address) => [u64::MAX, address],
        };
        words.into_iter().for_each(|word| self.digest.word(word));
        let counts = &mut self.counts;
        if let Seen::Value(_) = seen {
            counts.accesses += 1;
            counts.user += u64::from(access.user);
            counts.large += u64::from(walk.is_large());
        } else {
            counts.faults += 1;
        }
    }
}
