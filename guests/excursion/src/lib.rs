//! Excursions into arbitrary code, and back by whatever traps: for pc64 guests
//! that test the CPU. The guest points the gates of its IDT at [`stub`] and LSTAR
//! at [`syscall_handler`]; then [`enter`] runs code until something traps.

#![no_std]

#[cfg(target_os = "none")]
mod enter;

#[cfg(target_os = "none")]
pub use enter::{Context, SYSCALL, Trap, enter, stub, syscall_handler};
