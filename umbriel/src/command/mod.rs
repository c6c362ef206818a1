//! The commands of the tool, one module each.

pub mod bench;
pub mod build;
pub mod check;
pub mod compose;
pub mod explore;
pub mod inspect;
pub mod kernel;
pub mod run;
pub mod test;
pub mod version;
