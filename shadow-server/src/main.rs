//! The shadow-paging server of one guest.
//!
//! ```text
//!            faults of vCPUs        requests of the vmm
//!                   │                      │
//!                   ▼                      ▼
//!  serve ── faults ── exceptions ── exits ── vmm ── requests
//!                   │
//!       paging: shadow-core over window (guest memory) and caps (seL4)
//! ```
//!
//! It retypes nothing, allocates nothing, and never waits for a client: every
//! message is answered at once or parked. What a guest does wrong is an
//! outcome; a panic here is a defect of ours.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod caps;
#[cfg(target_os = "none")]
mod exits;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod owed;
#[cfg(target_os = "none")]
mod pages;
#[cfg(target_os = "none")]
mod paging;
#[cfg(target_os = "none")]
mod requests;
#[cfg(target_os = "none")]
mod rewrites;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod startup;
#[cfg(target_os = "none")]
mod thread;
#[cfg(target_os = "none")]
mod trace;
#[cfg(target_os = "none")]
mod vcpus;
#[cfg(target_os = "none")]
mod vmm;
#[cfg(target_os = "none")]
mod window;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("shadow-server runs on seL4; use cargo umbriel run");
}
