//! The model of the kernel, guest memory and the reference MMU, shared with
//! the tests of `shadow-core`.

#[path = "../../../crates/shadow-core/tests/model/history.rs"]
pub mod history;
#[path = "../../../crates/shadow-core/tests/model/kernel.rs"]
pub mod kernel;
#[path = "../../../crates/shadow-core/tests/model/memory.rs"]
pub mod memory;
#[path = "../../../crates/shadow-core/tests/model/reference.rs"]
pub mod reference;
