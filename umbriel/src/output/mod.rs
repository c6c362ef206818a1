//! What a running machine says, and what is made of it.
//!
//! COM1 carries lines for people ([`console`] takes them apart, [`streams`]
//! puts each guest's own bytes together again, [`escape`] and [`screen`] show
//! them); COM2 carries control records ([`record`]). [`status`] is the rule
//! that turns records into the exit status of `run`, [`backtrace`] the one
//! that turns addresses into source lines, [`json`] the form for programs, [`counters`] what processes counted.

pub mod backtrace;
pub mod console;
pub mod counters;
pub mod escape;
pub mod json;
pub mod record;
pub mod screen;
pub mod status;
pub mod streams;
pub mod text;
