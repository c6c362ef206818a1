//! Guest images: ELF headers, segments, notes and placing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| guest_loader::fuzzing::image(data));
