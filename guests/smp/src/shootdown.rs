//! TLB shootdown: one processor changes page tables, interrupts the others, and
//! what they had cached is gone when they have executed INVLPG.
#![allow(unsafe_code)] // an access that may fault, with its continuation

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use guest_runtime::instruction::{invalidate_page, read_cr2, read_cr3, write_cr3};
use guest_runtime::smp::number;
use guest_runtime::x2apic::{self, To};
use guest_runtime::{Digest, Frame, Memory, PROCESSORS_MAX, View, println};

use crate::team::{Team, WAKE, sleep_until};

const SHOOT: u8 = 0x25;
const PAGE: u64 = 1 << 40;
const ROUNDS: u64 = 200;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;

/// The round, and whether it maps the page writable, read-only or not.
static ROUND: AtomicU64 = AtomicU64::new(0);
static RIGHTS: AtomicU64 = AtomicU64::new(0);
/// Processors that have followed, over all rounds.
static FOLLOWED: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
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
    let tried = [
        &raw const try_write_at as u64,
        &raw const try_read_at as u64,
    ];
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
    own.store(
        so_far.wrapping_mul(31).wrapping_add(seen),
        Ordering::Relaxed,
    );
    FOLLOWED.fetch_add(1, Ordering::Release);
    x2apic::send(WAKE, To::Id(0));
    true
}

/// The first processor changes the page's entry, all others follow.
pub fn check(team: &Team, memory: &mut Memory, digest: &mut Digest) -> bool {
    let pages = [memory.page(), memory.page()];
    let mut visited = 0;
    for round in 1..=ROUNDS {
        let page = pages[(round % 2) as usize];
        page.write(0, round);
        let rights = [PRESENT | WRITABLE, PRESENT, 0][(round % 3) as usize];
        ROUND.store(round, Ordering::Relaxed);
        RIGHTS.store(rights, Ordering::Relaxed);
        // Invalidates the page here.
        memory.set_entry(PAGE, page.address() | rights);
        x2apic::send(SHOOT, To::Others);
        visited += team.others();
        sleep_until(|| FOLLOWED.load(Ordering::Acquire) == visited);
        let mapped = rights & PRESENT != 0;
        let value = if mapped {
            View::at(PAGE).read(0)
        } else {
            round
        };
        if value != round {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
    }
    let others = SEEN.iter().take(team.count()).skip(1);
    others.for_each(|seen| digest.word(seen.load(Ordering::Relaxed)));
    // What the others wrote arrived in both pages.
    for (page, number) in pages
        .iter()
        .flat_map(|page| (1..team.count()).map(move |n| (page, n)))
    {
        digest.word(page.read(1 + number as u64));
    }
    let wrong = WRONG.load(Ordering::Relaxed);
    println!("{visited} shootdowns, {wrong} wrong");
    wrong == 0
}
