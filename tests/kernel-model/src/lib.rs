//! What both sides of the comparison agree on: objects, addresses, operations
//! and how the root task answers.
//!
//! `tests/agreement.rs` generates operations with the model of the kernel that
//! the shadow MMU's host tests use, builds the root task (`main.rs`) with them,
//! boots it, and compares error numbers and what the hardware reaches, after
//! every operation.
#![no_std]

mod operation;
mod page;

pub use operation::{BYTES, Kind, Operation};
pub use page::{PAGES, VirtualPage};

/// Frames; frame `f` begins with the word `f + 1`.
pub const FRAMES: usize = 4;
/// Slots for copies of frame capabilities. Slot `f` holds a copy of frame `f`
/// at first, the others are empty.
pub const SLOTS: usize = FRAMES + 8;
/// Address spaces.
pub const SPACES: usize = 2;
/// Paging objects of levels 1, 2 and 3.
pub const TABLES: [usize; 3] = [4, 3, 3];

/// Printed behind the last answer.
pub const LAST_LINE: &str = "kernel-model: done";
