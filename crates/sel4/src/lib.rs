//! Bindings to the seL4 API on x86-64, in the names and shapes of upstream rust-sel4.
//!
//! What a reader of upstream finds again: [`Cap`] with marker types in [`cap_type`] and aliases in
//! [`cap`], methods named `object_verb`, [`AbsoluteCPtr`] for places in a CSpace, [`BootInfoPtr`],
//! [`MessageInfo`], [`IpcBuffer`], [`CapRights`], [`UserContext`], [`Fault`]. What differs: no MCS,
//! one thread per process, the IPC buffer is a handle of cells instead of a borrowed structure, and
//! x86 I/O ports have their In and Out methods.
//!
//! # Kernels
//!
//! Numbers come from the kernel tree that the build names (see `build.rs`), and what differs
//! between 5.0.0 and 13.0.0 or later sits in [`dialect`]. Each is a constant, so nothing is decided
//! at run time.
//!
//! # Layers
//!
//! ```text
//!  invocation/*  ipc  boot_info  fault  runtime     methods that callers use
//!        └────────┴──────┬───┴──────┘
//!                 dialect · abi (generated)          what this kernel is like
//!                 ipc_buffer · syscall               registers and memory shared with the kernel
//! ```
//!
//! # Unsafe code
//!
//! Modules `syscall` (the instruction), `ipc_buffer` (the page shared with the kernel), `boot_info`
//! (the page that the kernel leaves to the root task), `user_context` (an array view of a structure)
//! and `runtime` (entry points) opt in, each with its reason.

#![cfg_attr(not(test), no_std)]

mod abi;
mod boot_info;
mod cap_rights;
mod cptr;
mod debug;
pub mod dialect;
mod error;
pub mod fault;
pub mod init_thread;
mod invocation;
mod ipc;
mod ipc_buffer;
mod message_info;
mod object;
pub mod runtime;
mod syscall;
mod user_context;
mod vm_attributes;

pub use abi::ABI;
pub use boot_info::{BootInfo, BootInfoExtra, BootInfoPtr, UntypedDesc};
pub use cap_rights::CapRights;
pub use cptr::{
    AbsoluteCPtr, CPtr, CPtrBits, CPtrWithDepth, Cap, CapType, HasCPtrWithDepth, cap, cap_type,
};
#[cfg(sel4_debug_halt)]
pub use debug::debug_halt;
#[cfg(sel4_debug_put_char)]
pub use debug::debug_put_char;
pub use debug::{DEBUG_PUT_CHAR, try_debug_put_char};
pub use dialect::CNodeCapData;
pub use error::{Error, Result};
pub use fault::Fault;
pub use invocation::{Polarity, SchedParams, TcbConfiguration, TriggerMode};
pub use ipc::{CallWithMRs, FastMessages, RecvWithMRs, reply, reply_with_mrs, r#yield};
pub use ipc_buffer::{
    IpcBuffer, RawIpcBuffer, ipc_buffer, set_ipc_buffer, with_ipc_buffer, with_ipc_buffer_mut,
};
pub use message_info::{MessageInfo, MessageInfoBuilder};
pub use object::{FrameObjectType, ObjectBlueprint, TranslationTable};
pub use user_context::UserContext;
pub use vm_attributes::VmAttributes;

/// A machine word.
pub type Word = u64;

/// Bits in a [`Word`].
pub const WORD_SIZE: usize = 64;

/// What a badged capability tells the receiver about the sender.
///
/// Endpoint badges are at most [`dialect::max_badge`] on this kernel.
pub type Badge = Word;

/// Message registers that travel in machine registers.
pub const NUM_FAST_MESSAGE_REGISTERS: usize = 4;

/// Message registers in total.
pub const NUM_MESSAGE_REGISTERS: usize = 120;

/// Bytes in the smallest page, as a power of two.
pub const GRANULE_SIZE_BITS: usize = 12;
