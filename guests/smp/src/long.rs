//! A request of one processor that takes long, and whether another one's page
//! faults are answered meanwhile.
//!
//! One table of pages is linked at many places. All of its pages have been read
//! at all places; then all of its entries change. MOV CR3 makes the processor
//! forget them, which is one instruction, but hundreds of mappings for whoever
//! keeps a shadow of these tables.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest_runtime::bits::{PRESENT, WRITABLE};
use guest_runtime::instruction::{invalidate_page, pause, read_cr3, write_cr3};
use guest_runtime::x2apic::{self, To};
use guest_runtime::{Memory, Page, View, println};

use crate::team::{Team, WAKE, sleep_until};

/// Long requests, each with a table of its own.
const ROUNDS: u64 = 4;
/// Places at which a table is linked.
const PLACES: u64 = 32;
/// Entries of a table that are in use.
const ENTRIES: u64 = 16;
const PAGE: u64 = 4096;
/// What one table maps.
const REACH: u64 = 512 * PAGE;
/// Where the first processor links its tables.
const LONG: u64 = 1 << 40;
/// The page of the second processor.
const OWN: u64 = 1 << 41;
const OWN_VALUE: u64 = 0x1234_5678;

/// Address of the table with [`OWN`]'s entry, its index, and the entry as one that was
/// never used.
static OWN_TABLE: AtomicU64 = AtomicU64::new(0);
static OWN_INDEX: AtomicU64 = AtomicU64::new(0);
static OWN_ENTRY: AtomicU64 = AtomicU64::new(0);
/// Page faults of the second processor that were answered.
static ANSWERED: AtomicU64 = AtomicU64::new(0);
/// Whether the second processor is to have page faults.
static FAULTING: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);
static WRONG: AtomicU64 = AtomicU64::new(0);

/// Prints how many page faults were answered during each request; whether all
/// translations were right.
pub fn run(team: &Team, memory: &mut Memory) -> bool {
    let own = memory.page();
    own.write(0, OWN_VALUE);
    let (table, index) = memory.leaf(OWN);
    OWN_TABLE.store(table.address(), Ordering::Relaxed);
    OWN_INDEX.store(index, Ordering::Relaxed);
    OWN_ENTRY.store(own.address() | PRESENT | WRITABLE, Ordering::Relaxed);
    team.begin(fault_again_and_again);
    let mut answered = [0; ROUNDS as usize];
    for (round, answered) in (0..).zip(&mut answered) {
        *answered = one(memory, LONG + round * PLACES * REACH);
        println!("answered during request {round}: {answered}");
    }
    STOP.store(true, Ordering::Relaxed);
    x2apic::send(WAKE, To::Others);
    let least = answered.into_iter().min().unwrap_or(0);
    let wrong = WRONG.load(Ordering::Relaxed);
    println!("answered at least: {least}");
    println!("{wrong} translations wrong");
    sleep_until(|| true);
    wrong == 0
}

/// One long request, with a new table at `base` and new pages. Gives the page faults
/// that were answered from directly before it to directly after it.
fn one(memory: &mut Memory, base: u64) -> u64 {
    let frames: [Page; ENTRIES as usize] = core::array::from_fn(|_| memory.page());
    for (number, frame) in (0..).zip(frames) {
        frame.write(0, number + 1);
    }
    let (table, _) = memory.leaf(base);
    for place in 1..PLACES {
        memory.link(base + place * REACH, table);
    }
    set(table, &frames, 0);
    check(base, 0);
    set(table, &frames, 1);
    begin_to_fault();
    let before = ANSWERED.load(Ordering::SeqCst);
    #[allow(unsafe_code)]
    // SAFETY: the same tables; what changed is nobody's but this module's.
    unsafe {
        write_cr3(read_cr3());
    }
    let after = ANSWERED.load(Ordering::SeqCst);
    FAULTING.store(false, Ordering::Relaxed);
    check(base, 1);
    after - before
}

/// Wakes the second processor, and waits until it is at work.
fn begin_to_fault() {
    let before = ANSWERED.load(Ordering::Relaxed);
    FAULTING.store(true, Ordering::Relaxed);
    x2apic::send(WAKE, To::Id(1));
    while ANSWERED.load(Ordering::Relaxed) == before {
        pause();
    }
}

/// Points entry n of `table` to frame n + `shift`.
fn set(table: Page, frames: &[Page], shift: u64) {
    for entry in 0..ENTRIES {
        let frame = frames[((entry + shift) % ENTRIES) as usize];
        table.write(entry, frame.address() | PRESENT | WRITABLE);
    }
}

/// Reads all pages at all places.
fn check(base: u64, shift: u64) {
    for place in 0..PLACES {
        for entry in 0..ENTRIES {
            let value = View::at(base + place * REACH + entry * PAGE).read(0);
            if value != (entry + shift) % ENTRIES + 1 {
                WRONG.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// What the second processor does during a request: its page's entry becomes as one
/// that was never used, the page is forgotten, and read again. Whoever keeps a shadow
/// has to set the entry's A bit, so the read is a page fault of theirs.
fn fault_again_and_again(number: usize) {
    if number != 1 {
        return;
    }
    let table = Page::at(OWN_TABLE.load(Ordering::Relaxed));
    let index = OWN_INDEX.load(Ordering::Relaxed);
    let entry = OWN_ENTRY.load(Ordering::Relaxed);
    let faulting = || FAULTING.load(Ordering::Relaxed);
    let stop = || STOP.load(Ordering::Relaxed);
    while !stop() {
        sleep_until(|| faulting() || stop());
        while faulting() {
            table.write(index, entry);
            invalidate_page(OWN);
            if View::at(OWN).read(0) != OWN_VALUE {
                WRONG.fetch_add(1, Ordering::Relaxed);
            }
            ANSWERED.fetch_add(1, Ordering::SeqCst);
        }
    }
}
