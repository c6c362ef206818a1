//! Entries of live tables changed one by one and by the hundred.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use guest_runtime::bits;

use crate::memory::{ENTRIES, Frames};
use crate::rows::{Bench, Figure, Measured, WRITTEN, check};
use crate::traps;
use crate::tsc;

/// Switches of `ptemod`.
const SWITCHES: u64 = 2000;
/// Rounds of `ptemod_batch`, one table each.
const BATCHES: u64 = 20;
/// Rounds of `protect_cow`, one table each.
const FORKS: u64 = 8;

/// Thirteen instructions: one entry switched between two frames, INVLPG, and
/// a read through it.
pub fn ptemod(bench: &mut Bench) -> Measured {
    let window = bench.window(1, WRITTEN);
    bench.data.page(0).write(0, 0);
    bench.data.page(1).write(0, 1);
    let (sum, wrong): (u64, u64);
    let (instructions, result) = tsc::instructions_of(|| {
        let (mut sum, mut wrong) = (0_u64, 0_u64);
        // SAFETY: changes one entry of a window to data frames and reads one
        // through it.
        unsafe {
            asm!(
                "2: mov eax, {n:e}",
                "and eax, 1",
                "mov {value}, rax",
                "shl {value}, 12",
                "add {value}, {first}",         // one of two frames that follow each other
                "mov [{entry}], {value}",
                "invlpg [{at}]",
                "mov {value}, [{at}]",          // the frame's number
                "add {sum}, {value}",
                "xor {value}, rax",
                "or {wrong}, {value}",
                "dec {n}",
                "jnz 2b",
                n = inout(reg) SWITCHES => _,
                first = in(reg) bench.data.start | WRITTEN,
                entry = in(reg) window.entries(),
                at = in(reg) window.address(),
                value = out(reg) _,
                sum = inout(reg) sum,
                wrong = inout(reg) wrong,
                out("rax") _,
            );
        }
        (sum, wrong)
    });
    (sum, wrong) = result;
    bench.close(window);
    check(wrong == 0 && sum == SWITCHES / 2, "a read went to the wrong frame")?;
    Ok(Figure { iterations: SWITCHES, instructions })
}

/// Fourteen instructions a page: all entries of a table rewritten, CR3
/// reloaded, every page read.
pub fn ptemod_batch(bench: &mut Bench) -> Measured {
    let window = bench.window(ENTRIES, WRITTEN);
    let frames = Frames { count: ENTRIES, ..bench.data };
    for index in 0..ENTRIES {
        frames.page(index).write(0, index);
    }
    let cr3 = bench.memory.root().address();
    let (instructions, sum) = tsc::instructions_of(|| {
        let mut sum = 0_u64;
        // SAFETY: changes entries of a window among data frames, loads CR3
        // with the value that it has, and reads through the window.
        unsafe {
            asm!(
                "2: xor {n:e}, {n:e}",
                "3: lea eax, [{n:e} + {round:e}]",  // page n shows frame n + round
                "and eax, 511",
                "shl rax, 12",
                "add rax, {first}",
                "mov [{entries} + {n} * 8], rax",
                "inc {n}",
                "cmp {n}, 512",
                "jne 3b",
                "mov cr3, {cr3}",
                "mov {n}, {at}",
                "4: mov rax, [{n}]",
                "rol {sum}, 5",
                "add {sum}, rax",
                "add {n}, 4096",
                "cmp {n}, {end}",
                "jne 4b",
                "dec {round}",
                "jnz 2b",
                n = out(reg) _,
                round = inout(reg) BATCHES => _,
                first = in(reg) frames.start | WRITTEN,
                entries = in(reg) window.entries(),
                cr3 = in(reg) cr3,
                at = in(reg) window.address(),
                end = in(reg) window.address() + ENTRIES * crate::memory::PAGE,
                sum = inout(reg) sum,
                out("rax") _,
            );
        }
        sum
    });
    bench.close(window);
    let pages = (1..=BATCHES).rev();
    let numbers = pages.flat_map(|round| (0..ENTRIES).map(move |page| (page + round) % ENTRIES));
    let right = numbers.fold(0_u64, |sum, number| sum.rotate_left(5).wrapping_add(number));
    check(sum == right, "a read went to the wrong frame")?;
    Ok(Figure { iterations: BATCHES * ENTRIES, instructions })
}

/// Fifty-two instructions a page: all entries of a table made read-only, CR3
/// reloaded, every page written; the handler makes each writable again.
pub fn protect_cow(bench: &mut Bench) -> Measured {
    const WRITE_OF_PRESENT: u64 = 3;
    let window = bench.window(ENTRIES, WRITTEN);
    window.write_numbers();
    bench.fill_data(u64::MAX);
    traps::repair_faults_of(window, WRITE_OF_PRESENT, bits::PRESENT);
    let (instructions, ()) = tsc::instructions_of(|| {
        for _ in 0..FORKS {
            // SAFETY: makes the window's pages read-only, where no Rust object lies.
            unsafe {
                asm!(
                    "xor {n:e}, {n:e}",
                    "2: and qword ptr [{entry}], -3",
                    "add {entry}, 8",
                    "inc {n}",
                    "cmp {n}, 512",
                    "jne 2b",
                    n = out(reg) _,
                    entry = inout(reg) window.entries() => _,
                );
            }
            bench.memory.enter(bench.memory.root());
            window.write_numbers();
        }
    });
    let faults = traps::faults_repaired();
    let writable = window.all_have(WRITTEN, WRITTEN);
    bench.close(window);
    check(faults == FORKS * ENTRIES, "not one page fault a page and round")?;
    check(writable && bench.data_is(ENTRIES, |index| index), "a write did not arrive")?;
    Ok(Figure { iterations: FORKS * ENTRIES, instructions })
}
