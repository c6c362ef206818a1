//! Page faults that the guest expects, and repairs.

use core::sync::atomic::{AtomicU64, Ordering};

use guest_runtime::instruction::{invalidate_page, read_cr2};
use guest_runtime::{Frame, Page, set_handler};

const PAGE_FAULT: u64 = 14;

/// Address at which the next fault is expected; 0 for none.
static EXPECTED: AtomicU64 = AtomicU64::new(0);
/// Page table and index of the entry that the handler sets, and its value.
static TABLE: AtomicU64 = AtomicU64::new(0);
static INDEX: AtomicU64 = AtomicU64::new(0);
static ENTRY: AtomicU64 = AtomicU64::new(0);
/// What the handler saw: 1 + error code; 0 before the fault.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Runs `access`, which must fault once at `address`; the handler then sets
/// entry `index` of `table` to `entry` and the access goes on. Gives what the
/// access gave, and the error code; `None` if there was no fault.
pub fn expect<T>(
    address: u64,
    (table, index): (Page, u64),
    entry: u64,
    access: impl FnOnce() -> T,
) -> (T, Option<u64>) {
    set_handler(repair);
    TABLE.store(table.address(), Ordering::Relaxed);
    INDEX.store(index, Ordering::Relaxed);
    ENTRY.store(entry, Ordering::Relaxed);
    SEEN.store(0, Ordering::Relaxed);
    EXPECTED.store(address, Ordering::SeqCst);
    let result = access();
    EXPECTED.store(0, Ordering::SeqCst);
    (result, SEEN.load(Ordering::Relaxed).checked_sub(1))
}

fn repair(frame: &mut Frame) -> bool {
    let address = read_cr2();
    let expected = EXPECTED.swap(0, Ordering::Relaxed);
    if frame.vector != PAGE_FAULT || expected == 0 || address != expected {
        return false;
    }
    SEEN.store(frame.error_code + 1, Ordering::Relaxed);
    let table = Page::at(TABLE.load(Ordering::Relaxed));
    table.write(INDEX.load(Ordering::Relaxed), ENTRY.load(Ordering::Relaxed));
    invalidate_page(address);
    true
}
