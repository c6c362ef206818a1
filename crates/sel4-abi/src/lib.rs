//! Reads a seL4 kernel's interface files into what user code must know about that kernel.
//!
//! The numbers of invocation labels and system calls move with every release and every
//! configuration switch, so they are taken from the XML files that the kernel itself was built
//! from. Two dialects of those files are read:
//!
//! * [`XmlDialect::Strings`]: release 5.0.0, conditions as C expressions in attributes,
//!   configuration in `autoconf.h`;
//! * [`XmlDialect::Elements`]: release 13.0.0 and later as installed into a prefix, conditions as
//!   child elements, configuration in `gen_config.json`.
//!
//! What a kernel can do is decided from features found in the files ([`Features`]), never from a
//! release number, because an installed kernel carries none. Kernels whose API differs in ways
//! that the `sel4` crate does not serve (MCS, several cores, SYSENTER) are refused by name.
//!
//! ```text
//!  sel4.xml, sel4arch.xml ×2 ──┐
//!  syscall.xml ────────────────┼─ xml ─ condition ─┬─ invocation ─┐
//!  autoconf.h | gen_config.json┴─ config ──────────┴─ syscall ────┴─ Abi ─ generate → constants
//! ```
//!
//! Entry points: [`Abi::read`], used by the build script of `sel4`, and [`generate`].

#![forbid(unsafe_code)]

mod abi;
mod condition;
mod config;
mod error;
mod features;
pub mod generate;
mod invocation;
mod object;
mod source;
mod support;
mod syscall;
mod xml;

pub use abi::Abi;
pub use config::{Config, Value};
pub use error::Error;
pub use features::{Features, RegisterBases};
pub use object::{ObjectSizes, ObjectTypes};
pub use source::XmlDialect;
