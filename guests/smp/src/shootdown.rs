//! TLB shootdown: one processor changes page tables, interrupts the others, and
//! what they had cached is gone when they have executed INVLPG.
#![allow(unsafe_code)] // an access that may fault, with its continuation

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use guest_runtime::bits::{PRESENT, WRITABLE};
use guest_runtime::instruction::{invalidate_page, read_cr2, read_cr3, write_cr3};
use guest_runtime::smp::number;
use guest_runtime::x2apic::{self, To};
use guest_runtime::{Digest, Frame, Memory, PROCESSORS_MAX, Page, View, println};

use crate::team::{Team, WAKE, sleep_until};

const SHOOT: u8 = 0x25;
const PAGE: u64 = 1 << 40;
const ROUNDS: u64 = 200;

/// The round, and whether it maps the page writable, read-only or not.
static ROUND: AtomicU64 = AtomicU64::new(0);
static RIGHTS: AtomicU64 = AtomicU64::new(0);
/// Processors that have followed, over all rounds.
static FOLLOWED: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
/// The root of each processor's own address space, if it has one.
static ROOTS: [AtomicU64; PROCESSORS_MAX] = [const { AtomicU64::new(0) }; _];
/// What each processor saw, as it would add to a digest.
static SEEN: [AtomicU64; PROCESSORS_MAX] = [const { AtomicU64::new(0) }; _];

global_asm!(
    r#"
    .section .text, "ax"
    .global try_write, try_read, try_read_at, try_write_at, try_failed
try_write:
try_write_at:
    mov [rdi], rsi
    mov eax, 1
    ret
try_read:
try_read_at:
    mov rax, [rdi]
    ret
try_failed:
    xor eax, eax
    ret
"#
);

// SAFETY: labels of the assembly above. The functions follow the C convention: they
// take RDI and RSI, give RAX, and change no other register; where they fault, `fault`
// goes on at `try_failed`, which returns for them. Of the statics only addresses are
// taken, so that their types do not matter.
unsafe extern "C" {
    /// Writes; 0 if that faults.
    fn try_write(address: u64, value: u64) -> u64;
    /// Reads; 0 if that faults.
    fn try_read(address: u64) -> u64;
    static try_write_at: u8;
    static try_read_at: u8;
    static try_failed: u8;
}

/// A page fault of an access that may fault.
pub fn fault(frame: &mut Frame) -> bool {
    let tried = [&raw const try_write_at as u64, &raw const try_read_at as u64];
    let expected = frame.vector == 14 && read_cr2() & !0xfff == PAGE && tried.contains(&frame.rip);
    if expected {
        frame.rip = &raw const try_failed as u64;
    }
    expected
}

fn write(value: u64) -> bool {
    // SAFETY: no Rust object is there, and a fault goes on behind the access.
    unsafe { try_write(PAGE + 8 * (1 + number() as u64), value) != 0 }
}

fn read() -> u64 {
    // SAFETY: as in `write`.
    unsafe { try_read(PAGE) }
}

/// Handles `vector` if it is the shootdown's.
pub fn handle(vector: u8) -> bool {
    if vector != SHOOT {
        return false;
    }
    let round = ROUND.load(Ordering::Acquire);
    // What was cached may still be there.
    let stale = read();
    let possible = stale == 0 || stale == round || stale + 1 == round;
    if round.is_multiple_of(4) {
        // SAFETY: the same tables.
        unsafe { write_cr3(read_cr3()) };
    } else {
        invalidate_page(PAGE);
    }
    let rights = RIGHTS.load(Ordering::Relaxed);
    let (value, written) = (read(), write(round));
    let right = value == if rights & PRESENT != 0 { round } else { 0 };
    if !possible || !right || written != (rights == PRESENT | WRITABLE) {
        WRONG.fetch_add(1, Ordering::Relaxed);
    }
    let seen = value << 1 | u64::from(written);
    let own = &SEEN[number()];
    let so_far = own.load(Ordering::Relaxed);
    own.store(so_far.wrapping_mul(31).wrapping_add(seen), Ordering::Relaxed);
    FOLLOWED.fetch_add(1, Ordering::Release);
    x2apic::send(WAKE, To::Id(0));
    true
}

/// The first processor's part: it changes the page's entry, and all others follow.
pub struct Shootdown<'a> {
    memory: &'a mut Memory,
    pages: [Page; 2],
    others: usize,
    round: u64,
}

impl<'a> Shootdown<'a> {
    /// Nothing is mapped yet.
    pub fn new(team: &Team, memory: &'a mut Memory) -> Self {
        Self { pages: [memory.page(), memory.page()], memory, others: team.others(), round: 0 }
    }

    /// Maps another page, writable, read-only or not at all, until all have
    /// followed.
    pub fn round(&mut self) {
        self.round += 1;
        let round = self.round;
        let page = self.pages[(round % 2) as usize];
        page.write(0, round);
        let rights = [PRESENT | WRITABLE, PRESENT, 0][(round % 3) as usize];
        ROUND.store(round, Ordering::Relaxed);
        RIGHTS.store(rights, Ordering::Relaxed);
        let (table, index) = self.memory.leaf(PAGE);
        table.write(index, page.address() | rights);
        if round.is_multiple_of(2) {
            invalidate_page(PAGE);
        }
        x2apic::send(SHOOT, To::Others);
        let followed = self.others * round as usize;
        sleep_until(|| FOLLOWED.load(Ordering::Acquire) == followed);
        invalidate_page(PAGE);
        if rights & PRESENT != 0 && View::at(PAGE).read(0) != round {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Gives each processor an address space of its own, that shares all tables but
/// the first: nobody else's INVLPG helps then.
fn part(team: &Team, memory: &mut Memory) {
    const NOWHERE: u64 = 1 << 41;
    for root in ROOTS.iter().take(team.count()).skip(1) {
        root.store(memory.fork(NOWHERE).root(), Ordering::Relaxed);
    }
    team.run(|number| {
        let root = ROOTS[number].load(Ordering::Relaxed);
        if root != 0 {
            // SAFETY: the same tables below.
            unsafe { write_cr3(root) };
        }
    });
}

/// Wrong translations so far.
pub fn wrong() -> usize {
    WRONG.load(Ordering::Relaxed)
}

/// Many of them: in one address space, and in many.
pub fn check(team: &Team, memory: &mut Memory, digest: &mut Digest) -> bool {
    let mut shootdown = Shootdown::new(team, memory);
    (0..ROUNDS / 2).for_each(|_| shootdown.round());
    part(team, shootdown.memory);
    (0..ROUNDS / 2).for_each(|_| shootdown.round());
    let others = SEEN.iter().take(team.count()).skip(1);
    others.for_each(|seen| digest.word(seen.load(Ordering::Relaxed)));
    // What the others wrote arrived in both pages.
    for page in shootdown.pages {
        for number in 1..team.count() {
            digest.word(page.read(1 + number as u64));
        }
    }
    let visited = team.others() * ROUNDS as usize;
    let wrong = wrong();
    println!("{visited} shootdowns, {wrong} wrong");
    wrong == 0
}
