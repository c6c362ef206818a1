//! A system's manifest, its validated model, and the compiled form that boots.
//!
//! Job: everything that host and target must agree on about one composed
//! system. [`compiled`] is the byte layout that travels inside the root
//! task's ELF; [`cspace`] says which capability lies in which slot of which
//! process; [`address_map`] says what lies where in every process.
//!
//! Invariants: the target never parses text; every offset and count of the
//! compiled form is checked before it is used.

#![cfg_attr(not(any(test, feature = "host")), no_std)]
#![forbid(unsafe_code)]

pub mod address_map;
pub mod compiled;
pub mod cspace;
pub mod name;
