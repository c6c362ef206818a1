//! Proves kernel edits by booting the probe on kernels with and without them.
//!
//! The root task of this package (`main.rs`) tells which edits it sees at work.
//! This library is its host side: it builds a kernel and the root task for it,
//! boots them in QEMU, reads the lines, and adds what only the image
//! ([`kernel_build::inspect`]) or the processor's control registers tell.
//! [`run_all`] checks that the kernel with all edits shows all of them and, in
//! the long run, that each edit is missed from a kernel without it: a probe that
//! cannot fail proves nothing.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(not(target_os = "none"))]
mod host;

#[cfg(not(target_os = "none"))]
pub use host::{Error, Finding, Options, Report, State, run_all};
