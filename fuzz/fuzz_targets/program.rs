//! ELF files of processes and of the root task.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| system::fuzzing::program(data));
