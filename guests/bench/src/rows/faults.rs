//! First touches of pages: faults that the guest never sees, and its own.

use guest_runtime::bits;
use guest_runtime::instruction::invalidate_page;

use crate::rows::{Bench, Figure, Measured, WRITTEN, check};
use crate::traps;
use crate::tsc;
use crate::window::Window;

const PAGES: u64 = 2048;
/// Pages of the warm loop.
const WARM_PAGES: u64 = 1024;
/// A page that may be written and never was.
const FRESH: u64 = bits::PRESENT | bits::WRITABLE;

/// First write to pages that are mapped, A and D clear.
pub fn hidden(bench: &mut Bench) -> Measured {
    let window = bench.window(PAGES, FRESH);
    let figure = first_writes(bench, window);
    bench.close(window);
    figure
}

/// The same loop once more over pages that it has touched.
pub fn touch_again(bench: &mut Bench) -> Measured {
    let window = bench.window(PAGES, FRESH);
    let figure = first_writes(bench, window).and_then(|_| first_writes(bench, window));
    bench.close(window);
    figure
}

/// First write to pages that are mapped, A and D set.
pub fn hidden_accessed_dirty(bench: &mut Bench) -> Measured {
    let window = bench.window(PAGES, WRITTEN);
    let figure = first_writes(bench, window);
    bench.close(window);
    figure
}

/// As [`hidden`], but every page was touched, taken away by INVLPG and made
/// fresh before: what a fault costs when everything around it is in place.
pub fn hidden_warm(bench: &mut Bench) -> Measured {
    let window = bench.window(WARM_PAGES, FRESH);
    let figure = first_writes(bench, window).and_then(|_| {
        for index in 0..window.pages() {
            window.set_entry(index, window.entry(index) & !(bits::ACCESSED | bits::DIRTY));
            invalidate_page(window.address() + index * crate::memory::PAGE);
        }
        first_writes(bench, window)
    });
    bench.close(window);
    figure
}

/// First write to pages that are not present; the guest's handler maps them.
pub fn guest(bench: &mut Bench) -> Measured {
    const WRITE: u64 = 2;
    let window = bench.window(PAGES, 0);
    traps::repair_faults_of(window, WRITE, 0);
    let figure = first_writes(bench, window);
    let faults = traps::faults_repaired();
    bench.close(window);
    check(faults == PAGES, "not one page fault a page")?;
    figure
}

/// Writes every page of `window` and checks that data and A/D bits arrived.
fn first_writes(bench: &Bench, window: Window) -> Measured {
    bench.fill_data(u64::MAX);
    let (instructions, ()) = tsc::instructions_of(|| window.write_numbers());
    check(bench.data_is(window.pages(), |index| index), "a write did not arrive")?;
    check(window.all_have(WRITTEN, WRITTEN), "an entry lacks P, W, A or D")?;
    Ok(Figure { iterations: window.pages(), instructions })
}
