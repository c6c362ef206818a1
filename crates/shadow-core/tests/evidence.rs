//! All integration tests in one binary: what they share, and all that is generic,
//! is compiled once.

mod model;

mod audit;
mod bounds;
mod caps;
mod defects;
mod drops;
mod failures;
mod faults;
mod kernel_model;
mod legal;
mod log_dirty;
mod named_cases;
mod out_of_sync;
mod sizes;
mod storage;
mod walk_races;
mod walk_sweep;
