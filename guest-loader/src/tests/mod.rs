//! Tests of the crate as a whole, on ELF files written for the purpose.

mod pc64;
mod properties;
mod refusals;
mod rewriting;
mod solo5;
#[cfg(feature = "solo5-build")]
mod upstream;
mod walk;
