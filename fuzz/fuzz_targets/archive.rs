//! Archives whose tables were damaged under a checksum that fits.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| system::fuzzing::archive(data));
