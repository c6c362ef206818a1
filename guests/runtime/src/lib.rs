//! What pc64 guests share: entry points, boot information, UART, exceptions,
//! interrupts, page tables and random numbers.
//!
//! A guest built on this boots twice from the same ELF file: bare through its
//! PVH note (`qemu-system-x86_64 -kernel`), and under Umbriel through the
//! 64-bit Linux boot protocol. Both ways end in the function that [`entry!`]
//! names, and the guest cannot tell them apart except by what it is told in
//! [`BootInfo`]: bare metal is the oracle for the virtual platform.
//!
//! Rules for guests (limits of the platform): no NX, nothing in the upper half
//! of addresses, no SSE. Guests print nothing that depends on time or on who runs them.

#![cfg_attr(not(test), no_std)]

pub mod bits;
mod boot_info;
pub mod descriptors;
mod digest;
mod processors;
mod random;
mod selection;

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod exception;
#[cfg(target_os = "none")]
pub mod exit;
#[cfg(target_os = "none")]
pub mod instruction;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
pub mod pic;
#[cfg(target_os = "none")]
pub mod pit;
#[cfg(target_os = "none")]
pub mod smp;
#[cfg(target_os = "none")]
pub mod uart;
#[cfg(target_os = "none")]
pub mod x2apic;

pub use boot_info::{BootInfo, COMMAND_LINE_MAX, Region, RegionKind};
pub use digest::Digest;
#[cfg(target_os = "none")]
pub use exception::{Frame, Handler, set_handler};
#[cfg(target_os = "none")]
pub use memory::{Memory, Page, Space, View, unused_ram};
pub use processors::{PROCESSORS_MAX, Processors};
pub use random::Random;
pub use selection::Selection;
