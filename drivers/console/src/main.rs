//! Console driver: COM1 for people, COM2 for control records.
//!
//! Answers one message at a time and never waits for anybody; what a client
//! claims about lengths is cut to what a message holds.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("console runs on seL4; use cargo umbriel run");
}

#[cfg(target_os = "none")]
mod serve;
