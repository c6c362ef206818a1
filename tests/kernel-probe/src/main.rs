//! A root task that probes the kernel for every edit of `kernel/edits/`.
//!
//! It prints one line per edit on COM1, `E1 present` or `E1 missing: what was
//! seen`, then `kernel-probe: done`, and powers the machine off. The host side
//! is the library of this package.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("kernel-probe is a root task: build it with --target x86_64-unknown-none");
}
