//! The virtual platform of one guest, the part that needs no seL4: devices
//! and hypercalls over the services of [`host::Host`].
//!
//! A platform turns each exit of a vCPU into an [`Action`]. It sees guest
//! memory only through [`host::Host`], a few bytes at a time. Everything a
//! guest passes is a claim; a bad claim ends the guest or reads as all ones,
//! as the platform's own rules say, and never harms the vmm.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod apic;
pub mod host;
pub mod output;
pub mod pc64;
pub mod pic;
pub mod pit;
pub mod platform;
pub mod power;
pub mod registers;
pub mod rtc;
pub mod solo5;
pub mod uart;

#[cfg(test)]
mod fake;
