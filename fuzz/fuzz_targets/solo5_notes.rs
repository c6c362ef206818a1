//! Solo5's notes and device manifests.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| guest_loader::fuzzing::solo5_notes(data));
