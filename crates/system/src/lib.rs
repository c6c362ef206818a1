//! A system's manifest, its validated model, and the compiled form that boots.
//!
//! Job: everything that host and target must agree on about one composed
//! system. [`compiled`] is the byte layout that travels inside the root
//! task's ELF; [`cspace`] says which capability lies in which slot of which
//! process; [`address_map`] says what lies where in every process.
//!
//! With the feature `host`, [`manifest`] reads and validates TOML, [`program`]
//! flattens process images, [`compile`] writes the compiled form, and
//! [`root_image`] puts it into the root task's ELF.
//!
//! Invariants: the target never parses text; every offset and count of the
//! compiled form is checked before it is used.

#![cfg_attr(not(any(test, feature = "host")), no_std)]
#![forbid(unsafe_code)]

pub mod address_map;
#[cfg(feature = "host")]
pub mod budget;
#[cfg(feature = "host")]
pub mod compile;
pub mod compiled;
pub mod cspace;
#[cfg(all(feature = "host", any(test, feature = "fuzzing")))]
pub mod fuzzing;
#[cfg(feature = "host")]
pub mod layout;
#[cfg(feature = "host")]
pub mod manifest;
pub mod name;
#[cfg(feature = "host")]
pub mod program;
#[cfg(feature = "host")]
pub mod root_image;
#[cfg(all(feature = "host", any(test, feature = "fuzzing")))]
mod testing;
