//! What page tables must do on any x86-64, tried one by one.

use guest_runtime::bits::{ACCESSED, DIRTY, PRESENT, WRITABLE};
use guest_runtime::{Digest, Memory, Page, View, println};

use crate::faults::expect;

/// Addresses nothing else uses; each case has a page of its own.
const BASE: u64 = 0x4000_0000_0000;

/// Prints a case with its numbers, digests them, and says whether they are
/// the ones that the architecture gives.
fn report(digest: &mut Digest, case: &str, seen: [u64; 2], right: [u64; 2]) -> bool {
    println!("{case}: {:x} {:x}", seen[0], seen[1]);
    seen.into_iter().for_each(|word| digest.word(word));
    if seen != right {
        println!("  expected: {:x} {:x}", right[0], right[1]);
    }
    seen == right
}

/// Tries every case, in order.
pub fn check(memory: &mut Memory, digest: &mut Digest) -> bool {
    let cases: [fn(&mut Memory, &mut Digest) -> bool; 7] = [
        fresh_mapping,
        remapping,
        accessed_and_dirty,
        missing_page,
        read_only_page,
        large_page,
        two_spaces,
    ];
    let mut passed = true;
    for case in cases {
        passed &= case(memory, digest); // a failed case does not hide the next
    }
    passed
}

fn fresh_mapping(memory: &mut Memory, digest: &mut Digest) -> bool {
    let page = memory.page();
    memory.map(BASE, page, true);
    let view = View::at(BASE);
    view.write(3, 0x1234_5678);
    page.write(4, 0x9abc);
    report(digest, "fresh mapping", [page.read(3), view.read(4)], [0x1234_5678, 0x9abc])
}

fn remapping(memory: &mut Memory, digest: &mut Digest) -> bool {
    let (one, two) = (memory.page(), memory.page());
    one.write(0, 1);
    two.write(0, 2);
    let address = BASE + 0x1000;
    let view = View::at(address);
    memory.map(address, one, true);
    let before = view.read(0);
    memory.map(address, two, true);
    report(digest, "remapping", [before, view.read(0)], [1, 2])
}

fn accessed_and_dirty(memory: &mut Memory, digest: &mut Digest) -> bool {
    let address = BASE + 0x2000;
    let page = memory.page();
    memory.map(address, page, true);
    let (table, index) = memory.leaf(address);
    let bits = || table.read(index) & (ACCESSED | DIRTY);
    let view = View::at(address);
    view.read(0);
    let read = bits();
    view.write(0, 1);
    report(digest, "accessed, dirty", [read, bits()], [ACCESSED, ACCESSED | DIRTY])
}

fn missing_page(memory: &mut Memory, digest: &mut Digest) -> bool {
    let address = BASE + 0x3000;
    let page = memory.page();
    page.write(5, 0x77);
    let leaf = memory.leaf(address);
    let entry = page.address() | WRITABLE | PRESENT;
    let view = View::at(address);
    let (value, read_error) = expect(address + 40, leaf, entry, || view.read(5));
    memory.set_entry(address, 0);
    let ((), write_error) = expect(address + 48, leaf, entry, || view.write(6, 1));
    let errors = [read_error, write_error].map(|error| error.unwrap_or(u64::MAX));
    let values = [value, page.read(6)];
    report(digest, "missing page, error codes", errors, [0, WRITABLE])
        & report(digest, "missing page, values", values, [0x77, 1])
}

fn read_only_page(memory: &mut Memory, digest: &mut Digest) -> bool {
    let address = BASE + 0x4000;
    let page = memory.page();
    memory.map(address, page, false);
    let leaf = memory.leaf(address);
    let view = View::at(address);
    let before = view.read(7);
    let entry = page.address() | WRITABLE | PRESENT;
    let ((), error) = expect(address + 56, leaf, entry, || view.write(7, 8));
    let error = error.unwrap_or(u64::MAX);
    report(digest, "read-only page", [error, before + page.read(7)], [WRITABLE | PRESENT, 8])
}

fn large_page(memory: &mut Memory, digest: &mut Digest) -> bool {
    // Another view of the 2 MiB that hold this image's first pages.
    let (address, image) = (BASE + 0x4000_0000, 0x20_0000);
    memory.map_large(address, image);
    let page = memory.page();
    let offset = page.address() - image;
    let inside = offset < 0x20_0000;
    let view = View::at(address + if inside { offset } else { 0 });
    let seen = if inside {
        view.write(9, 0x55);
        page.read(9)
    } else {
        0x55
    };
    let same = u64::from(View::at(address).read(0) == Page::at(image).read(0));
    report(digest, "large page", [seen, same], [0x55, 1])
}

fn two_spaces(memory: &mut Memory, digest: &mut Digest) -> bool {
    let (first, second) = (memory.space(), memory.fork(BASE));
    let view = View::at(BASE);
    view.write(0, 0x11);
    memory.enter(second);
    let page = memory.page();
    page.write(0, 0x22);
    memory.map(BASE, page, true);
    let there = view.read(0);
    memory.enter(first);
    report(digest, "two spaces", [there, view.read(0)], [0x22, 0x11])
}
