//! A root task that carries out the operations it was built with.
//!
//! For each it prints a line on COM1: the kernel's error number, then for every
//! page probed the frame found there and `w` or `r`, or `-`. Then it prints
//! `kernel-model: done`. The host side is `tests/agreement.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("kernel-model is a root task: build it with --target x86_64-unknown-none");
}
