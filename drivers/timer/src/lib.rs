//! Timer driver, the part that needs no hardware: the clients' deadlines, and
//! what the PIT and the real-time clock count. `main.rs` connects it to ports,
//! interrupts and messages.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod deadlines;
pub mod pit;
pub mod rtc;
