//! Fakes that the tests share: guest memory, a kernel, and a machine of both.
#![allow(dead_code)] // each test uses its part

pub mod history;
pub mod kernel;
pub mod machine;
pub mod memory;
pub mod reference;
pub mod scenario;
pub mod world;
