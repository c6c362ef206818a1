//! The decoder: no more bytes than there are, and the same answer with more.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcpu::testing::decode(data));
