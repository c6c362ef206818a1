//! Messages, badges and shared layouts between Umbriel's processes.
//!
//! Job: the one place where a message's label, word order and limits are
//! written down; both ends encode and decode through the same type.
//! A message is a label and up to 120 words. Decoding checks everything: a
//! malformed message becomes `None` and the receiver refuses and counts it.
//!
//! Who may block on whom (nobody else waits for anybody):
//!
//! ```text
//! vCPU thread ──fault──► shadow-server          (answered at once, or after the vmm completes the exit)
//! vmm ──next_exit, complete──► shadow-server     (parked until a vCPU exits)
//! vmm ──guest read, guest write──► shadow-server (answered at once)
//! vmm ──write──► console,  vmm ──deadline──► timer (answered at once)
//! any process ──fault, report──► supervisor      (never answered: a crashed process stays stopped)
//! supervisor ──write, control──► console         (a send that does not wait)
//! supervisor ──deadline──► timer                 (answered at once; only for injections)
//! ```
//!
//! A shadow-server never waits for a client, a driver never waits for anybody.
//! Badges are set by the supervisor and cannot be forged; a label is only a
//! claim.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod badge;
pub mod bytes;
pub mod console;
pub mod counters;
pub mod desk;
pub mod exit;
pub mod offers;
pub mod request;
pub mod startup;
pub mod supervisor;
pub mod timer;
pub mod trace;

/// Version of everything in this crate; processes of one image always agree,
/// tools compare it.
pub const VERSION: u32 = 0;

/// Labels below this one are the kernel's fault labels.
pub const FIRST_LABEL: u64 = 0x100;

/// The answer to a message that could not be understood or not be served:
/// label of the reply.
pub const REFUSED: u64 = 0xfff;
