//! Address kinds and paging formats of x86-64, as types.
//!
//! Job: keep guest-virtual, guest-physical and frame numbers apart, and give
//! the bits of page-table entries, control registers, flags and page-fault
//! error codes their manual names. Every pure crate builds on this one.
//!
//! Invariants: no arithmetic crosses address kinds; entry and error-code
//! constants are the ones of the Intel SDM (vol. 3A, chapters 2, 4 and 6).

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod address;
mod control;
mod entry;
mod exception;
mod level;
mod memory;

pub use address::{Gfn, Gpa, Gva, PAGE_SHIFT, PAGE_SIZE};
pub use control::{Cr0, Cr4, Efer, Rflags};
pub use entry::{Gpte, PHYSICAL_ADDRESS_BITS};
pub use exception::{PageFault, PageFaultCode, Vector};
pub use level::Level;
pub use memory::{GuestMemory, OutsideRam};
