//! The virtual CPU: any state, registers, memory and traps, and any code on a
//! CPU that is set up well.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((mode, data)) = data.split_first() {
        if mode & 1 == 0 {
            vcpu::testing::exercise(data);
        } else {
            vcpu::testing::exercise_code(data);
        }
    }
});
