//! Root task: builds the system from the compiled manifest, then supervises it.
//!
//! ```text
//! boot ─► CSpace in two levels ─► archive ─► console, timer ─► guests ─► supervise ─► power off
//! ```
//!
//! It delegates and steps back: originals of guest frames go to the guest's
//! shadow-server. What it keeps is the authority over threads, so that it can
//! stop what crashes.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod address_space;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod crash;
#[cfg(target_os = "none")]
mod cspace;
#[cfg(target_os = "none")]
mod drivers;
#[cfg(target_os = "none")]
mod error;
#[cfg(target_os = "none")]
mod frequency;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod image;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod names;
#[cfg(target_os = "none")]
mod process;
#[cfg(target_os = "none")]
mod scratch;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod supervisor;
#[cfg(target_os = "none")]
mod trace;
#[cfg(target_os = "none")]
mod voice;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("root-task runs on seL4; use cargo umbriel run");
}
