//! Console driver, the part that needs no hardware: whose line is whose, who
//! gets what is typed, and how a UART is fed. `main.rs` connects it to ports and messages.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod input;
pub mod lines;
pub mod uart;
