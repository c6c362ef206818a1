//! Bindings to the seL4 API, in the shape of rust-sel4.
