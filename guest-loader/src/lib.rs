//! Reads guest images and places them in guest memory, on the host.
//!
//! Job: turn an image file and its options into a [`PlacedGuest`]: the bytes
//! of guest memory at the first instruction, the ranges the guest may not
//! write, and the vCPU's first state. The compose step stores that in the
//! archive; on seL4 the root task only copies bytes.
//!
//! Neighbours: `system` says which options a manifest may give, `umbriel`
//! calls [`place`], the root task applies what comes out.
//!
//! Invariants:
//! - Images are untrusted. Every read is bounds-checked, every sum is checked,
//!   nothing panics, and work is linear in the size of the image.
//! - A refusal is a [`Refusal`]: the file, what is wrong and where, what to do.
//! - Loads are page-aligned, ascending and disjoint, and inside guest memory.

#![forbid(unsafe_code)]

mod code;
mod detect;
pub mod elf;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod memory;
pub mod note;
pub mod pc64;
mod placed;
mod problem;
mod rewrite;
pub mod solo5;
#[cfg(feature = "solo5-build")]
pub mod solo5_build;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use detect::{default_memory, detect, place};
pub use memory::GuestPages;
pub use placed::{Device, DeviceKind, Image, Load, Options, Patch, PlacedGuest};
pub use problem::{Problem, Refusal};
pub use rewrite::{Fate, Finding, Inspection, KernelSupport, Means, Rewritten, inspect, rewrite};
pub use system::compiled::{PatchKind, Platform, VcpuStart};

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;
/// Guest memory comes in multiples of this: the size of a level-2 page.
pub const MEMORY_UNIT: u64 = 2 * MIB;
/// Memory of a guest whose manifest names no size and whose image needs no more.
pub const DEFAULT_MEMORY: u64 = 32 * MIB;
/// The largest image file accepted. About this much fits into a boot archive.
pub const MAX_IMAGE: u64 = 192 * MIB;
