//! Machine profiles and the QEMU runner.
