//! Address spaces: switched, reloaded, made and thrown away.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;

use guest_runtime::{Page, bits};

use crate::memory::{Frames, WINDOWS, to};
use crate::rows::{Bench, Figure, Measured, WRITTEN, check};
use crate::tsc;
use crate::window::Window;

const SWITCHES: u64 = 2000;
const WARM_UP: u64 = 4;
/// Pages read after each switch.
const READS: u64 = 8;
const RELOADS: u64 = 2000;

/// Spaces that `mkspace` makes.
const SPACES: u64 = 100;
/// Pages of each.
const SPACE_PAGES: u64 = 64;
/// Frames that it takes tables and pages from, round and round.
const RING: u64 = 1000;

/// Seventy instructions: CR3 to the other of two spaces, eight reads there.
pub fn cr3_switch(bench: &mut Bench) -> Measured {
    let (first, window) = space(bench, 0);
    let (second, _) = space(bench, READS);
    let roots = [first.address(), second.address()];
    let warm = switch_and_read(roots, window, WARM_UP);
    let (instructions, wrong) = tsc::instructions_of(|| switch_and_read(roots, window, SWITCHES));
    bench.memory.enter(bench.memory.root());
    check(warm | wrong == 0, "a read went to the other space")?;
    Ok(Figure { iterations: SWITCHES, instructions })
}

/// A space of eight pages, the data frames from number `frame` on. Each holds
/// the space's root and its own number.
fn space(bench: &mut Bench, frame: u64) -> (Page, Window) {
    let windows = bench.memory.page();
    let root = bench.memory.space(windows);
    let window = Window::new(&mut bench.memory, windows, 0, READS);
    let frames = Frames { start: bench.data.page(frame).address(), count: READS };
    window.point_to(frames, WRITTEN);
    for index in 0..READS {
        frames.page(index).write(0, root.address() + index);
    }
    (root, window)
}

/// Switches `times` between two spaces; not 0 if a read was wrong.
#[inline(always)]
fn switch_and_read(roots: [u64; 2], window: Window, times: u64) -> u64 {
    let wrong;
    // SAFETY: both spaces map RAM alike, where the guest is; the window is
    // mapped in both.
    unsafe {
        asm!(
            "2: mov cr3, {next}",
            "xchg {next}, {here}",
            "mov {at}, {first}",
            "xor {n:e}, {n:e}",
            "3: mov rax, [{at}]",
            "sub rax, {n}",
            "xor rax, {here}",
            "or {wrong}, rax",
            "add {at}, 4096",
            "inc {n}",
            "cmp {n}, 8",
            "jne 3b",
            "dec {times}",
            "jnz 2b",
            next = inout(reg) roots[0] => _,
            here = inout(reg) roots[1] => _,
            first = in(reg) window.address(),
            at = out(reg) _,
            n = out(reg) _,
            times = inout(reg) times => _,
            wrong = inout(reg) 0_u64 => wrong,
            out("rax") _,
        );
    }
    wrong
}

/// Three instructions: CR3 rewritten with its own value.
pub fn cr3_reload(bench: &mut Bench) -> Measured {
    let (instructions, ()) = tsc::instructions_of(|| {
        // SAFETY: CR3 keeps its value.
        unsafe {
            asm!("2: mov cr3, {root}", "dec {n:e}", "jnz 2b",
                root = in(reg) bench.memory.root().address(),
                n = inout(reg) RELOADS => _, options(nostack));
        }
    });
    Ok(Figure { iterations: RELOADS, instructions })
}

/// About 3,680 instructions: four tables zeroed and linked, 64 entries, a
/// switch, 64 writes, a switch back, every entry checked and cleared. Frames
/// go round a ring, so tables come back as data and the other way about.
pub fn mkspace(bench: &mut Bench) -> Measured {
    let ring = Frames { count: RING, ..bench.data };
    let mut next = 0;
    let (instructions, wrong) = tsc::instructions_of(|| {
        let mut wrong = 0;
        for _ in 0..SPACES {
            wrong |= make_and_drop(bench, ring, &mut next);
        }
        wrong
    });
    check(wrong == 0, "a write did not arrive")?;
    Ok(Figure { iterations: SPACES, instructions })
}

/// Makes one space from the frames at `next`; not 0 if a write got lost.
fn make_and_drop(bench: &Bench, ring: Frames, next: &mut u64) -> u64 {
    let [root, level_3, level_2, level_1] =
        core::array::from_fn(|table| ring.page(*next + table as u64));
    for table in [root, level_3, level_2, level_1] {
        zero(table);
    }
    root.write(0, to(level_3.address()));
    level_3.write(0, bench.memory.ram_entry());
    level_3.write(WINDOWS, to(level_2.address()));
    level_2.write(0, to(level_1.address()));
    *next = fill(level_1, ring, (*next + 4) % RING);

    bench.memory.enter(root);
    Window::of_table(level_1, SPACE_PAGES).write_numbers();
    bench.memory.enter(bench.memory.root());

    let wrong = check_and_clear(level_1);
    level_2.write(0, 0);
    level_3.write(WINDOWS, 0);
    level_3.write(0, 0);
    root.write(0, 0);
    wrong
}

/// Fills a page with zeros; every repetition counts as an instruction.
#[inline(always)]
fn zero(page: Page) {
    // SAFETY: the page is a data frame, mapped one to one.
    unsafe {
        asm!("rep stosq", inout("rdi") page.address() => _, inout("rcx") 512_u64 => _,
            in("rax") 0_u64, options(nostack, preserves_flags));
    }
}

/// Points the first 64 entries of `table` to the frames from `next` on; the
/// next one after them.
#[inline(always)]
fn fill(table: Page, ring: Frames, next: u64) -> u64 {
    let after;
    // SAFETY: the table is a data frame, mapped one to one.
    unsafe {
        asm!(
            "2: mov rax, {next}",
            "shl rax, 12",
            "add rax, {first}",
            "mov [{table} + {n} * 8], rax",
            "inc {next}",
            "cmp {next}, {ring}",
            "cmove {next}, {zero}",
            "inc {n}",
            "cmp {n}, {pages}",
            "jne 2b",
            next = inout(reg) next => after,
            first = in(reg) ring.start | WRITTEN,
            table = in(reg) table.address(),
            ring = const RING,
            zero = in(reg) 0_u64,
            n = inout(reg) 0_u64 => _,
            pages = const SPACE_PAGES,
            out("rax") _,
            options(nostack),
        );
    }
    after
}

/// Clears the first 64 entries of `table`; not 0 if the frame of one does not
/// begin with its number.
#[inline(always)]
fn check_and_clear(table: Page) -> u64 {
    let wrong;
    // SAFETY: table and frames are data frames, mapped one to one.
    unsafe {
        asm!(
            "2: mov rax, [{table} + {n} * 8]",
            "and rax, {mask}",
            "mov rax, [rax]",
            "xor rax, {n}",
            "or {wrong}, rax",
            "mov qword ptr [{table} + {n} * 8], 0",
            "inc {n}",
            "cmp {n}, {pages}",
            "jne 2b",
            table = in(reg) table.address(),
            mask = in(reg) bits::ADDRESS,
            n = inout(reg) 0_u64 => _,
            wrong = inout(reg) 0_u64 => wrong,
            pages = const SPACE_PAGES,
            out("rax") _,
            options(nostack),
        );
    }
    wrong
}
