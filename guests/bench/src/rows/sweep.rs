//! Work that needs no MMU work: what running a guest costs by itself.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use crate::memory::PAGE;
use crate::rows::{Bench, Figure, Measured, WRITTEN, check};
use crate::tsc;

const PAGES: u64 = 2048;
const PASSES: u64 = 4;

/// 3072 instructions a page: six for each of its 512 words, read, changed and
/// written back.
pub fn memsweep_4k(bench: &mut Bench) -> Measured {
    let window = bench.window(PAGES, WRITTEN);
    bench.fill_data(0);
    window.read_all();
    let (instructions, ()) = tsc::instructions_of(|| {
        for _ in 0..PASSES {
            // SAFETY: the window shows data frames, in which no Rust object lies.
            unsafe {
                asm!(
                    "2: mov {value}, [{at}]",
                    "add {value}, 3",
                    "mov [{at}], {value}",
                    "add {at}, 8",
                    "cmp {at}, {end}",
                    "jne 2b",
                    value = out(reg) _,
                    at = inout(reg) window.address() => _,
                    end = in(reg) window.address() + PAGES * PAGE,
                );
            }
        }
    });
    bench.close(window);
    check(bench.data_is(PAGES, |_| 3 * PASSES), "a write did not arrive")?;
    Ok(Figure { iterations: PAGES * PASSES, instructions })
}
