//! Manifests and fragments, and the messages about them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| system::fuzzing::manifest(data));
