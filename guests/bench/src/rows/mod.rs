//! The rows: what is counted, and what is checked afterwards.
//!
//! A row sets up, counts one run of its assembly, checks what memory and page
//! tables hold now, and takes its mappings away.

mod exits;
mod faults;
mod rewrites;
mod spaces;
mod sweep;
mod user;

use guest_runtime::bits;

use crate::memory::{Frames, Memory};
use crate::window::Window;

/// Iterations and the instructions that all of them took together.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// How often the operation was done.
    pub iterations: u64,
    /// Instructions, with a few for measuring.
    pub instructions: u64,
}

/// A figure, or what was not as it must be.
pub type Measured = Result<Figure, &'static str>;

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, as in `bench/peers.toml`.
    pub name: &'static str,
    /// Counts and checks.
    pub measure: fn(&mut Bench) -> Measured,
}

const fn row(name: &'static str, measure: fn(&mut Bench) -> Measured) -> Row {
    Row { name, measure }
}

/// All rows, in the order they run.
pub const ALL: &[Row] = &[
    row("rdtsc", exits::rdtsc),
    row("pgfault_hidden", faults::hidden),
    row("touch_again", faults::touch_again),
    row("pgfault_hidden_ad", faults::hidden_accessed_dirty),
    row("pgfault_hidden_warm", faults::hidden_warm),
    row("pgfault_guest", faults::guest),
    row("ptemod", rewrites::ptemod),
    row("ptemod_batch", rewrites::ptemod_batch),
    row("protect_cow", rewrites::protect_cow),
    row("cr3_switch", spaces::cr3_switch),
    row("cr3_reload", spaces::cr3_reload),
    row("mkspace", spaces::mkspace),
    row("out80", exits::out80),
    row("out_unused", exits::out_unused),
    row("cpuid", exits::cpuid),
    row("rdmsr", exits::rdmsr),
    row("kernel_int", exits::kernel_int),
    row("user_syscall", user::syscall),
    row("user_fault", user::fault),
    row("fast_syscall", user::fast_syscall),
    row("exception", exits::exception),
    row("memsweep_4k", sweep::memsweep_4k),
];

/// Frames that rows map.
const DATA_FRAMES: u64 = 2048;

/// What rows share.
#[derive(Debug)]
pub struct Bench {
    memory: Memory,
    data: Frames,
    /// The next unused entry of the level-2 table of windows.
    slot: u64,
}

impl Bench {
    /// Takes the frames that rows map.
    pub fn new(mut memory: Memory) -> Self {
        let data = memory.frames(DATA_FRAMES);
        Self { memory, data, slot: 0 }
    }

    /// A window whose entries point to the data frames, with `rights`.
    fn window(&mut self, pages: u64, rights: u64) -> Window {
        let windows = self.memory.windows;
        let window = Window::new(&mut self.memory, windows, self.slot, pages);
        self.slot += pages.div_ceil(crate::memory::ENTRIES);
        window.point_to(self.data, rights);
        window
    }

    /// Takes `window`'s mappings away again.
    fn close(&self, window: Window) {
        for index in 0..window.pages() {
            window.set_entry(index, 0);
        }
        self.memory.enter(self.memory.root());
    }

    /// Fills the first word of every data frame with `value`.
    fn fill_data(&self, value: u64) {
        for index in 0..self.data.count {
            self.data.page(index).write(0, value);
        }
    }

    /// Whether the first word of the data frames 0 to `count` is what `right`
    /// says of its number.
    fn data_is(&self, count: u64, right: impl Fn(u64) -> u64) -> bool {
        (0..count).all(|index| self.data.page(index).read(0) == right(index))
    }
}

/// `Ok` if `right`, else `wrong`.
fn check(right: bool, wrong: &'static str) -> Result<(), &'static str> {
    if right { Ok(()) } else { Err(wrong) }
}

/// Rights of a page that may be written and has been.
const WRITTEN: u64 = bits::PRESENT | bits::WRITABLE | bits::ACCESSED | bits::DIRTY;
