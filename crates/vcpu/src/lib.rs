//! The virtual CPU: state, privileged instructions and exception delivery, as pure logic.
//!
//! Job: a guest kernel believes that it runs at CPL 0; its thread runs at CPL
//! 3. Whatever needs privilege traps, and [`handle`] does here what hardware
//! would have done: it decodes the instruction, checks what the manual says
//! is checked, changes [`VcpuState`] and [`Registers`], or delivers an
//! exception through the guest's own IDT.
//!
//! ```text
//!   trap ──► handle ──► Resume                 registers say where
//!                  ├──► Exit ──► platform ──► complete ──► Resume | Exit | Shutdown
//!                  └──► Shutdown               triple fault
//! ```
//!
//! Guest memory, page tables and their caches are behind the trait
//! [`Machine`]; ports, MSRs of the platform and sleeping are [`Exit`]s.
//!
//! Invariants:
//! - An instruction that faults leaves state and registers as they were; one
//!   that exits changes them only in [`complete`]. RIP advances exactly once.
//! - No byte of state, registers or guest memory makes this crate panic, loop
//!   without bound, or allocate. All come from a hostile guest or a page that
//!   survived a crash.
//! - Guest mistakes are outcomes, never errors.
//!
//! Sources: Intel SDM (order numbers 253665 ff.) by volume and section, AMD
//! APM vol. 2 where it differs. What is not virtualised: `docs/vcpu.md`.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(any(test, feature = "testing")),
    warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)
)]

mod ahead;
mod cpuid;
mod decode;
mod deliver;
mod dump;
mod execute;
mod exit;
mod fault;
mod flags;
mod handle;
mod kept;
mod machine;
mod memory;
mod registers;
mod segment;
mod state;
mod tables;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use cpuid::Topology;
pub use decode::{
    Control, DecodeError, Instruction, MAX_LENGTH, Memory, Operation, Port, Rm, StringStep, Table,
    Width, decode,
};
pub use dump::Dump;
pub use exit::{Completion, Exit, Original, Outcome, PendingExit, Trap, TripleFault};
pub use handle::{complete, handle, inject_interrupt};
pub use kept::{Decoded, Fetched, NothingAhead, Translations};
pub use machine::{Access, AccessKind, Machine, Privilege, RegisterSet};
pub use registers::Registers;
pub use segment::{Descriptor, Segment, SegmentName, Selector, TableRegister};
pub use state::VcpuState;
