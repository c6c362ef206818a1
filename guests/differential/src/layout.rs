//! Selectors and addresses.

pub use guest_runtime::descriptors::selector::{
    KERNEL_CODE, KERNEL_DATA, TASK, USER_CODE, USER_DATA,
};

/// Conforming kernel code.
pub const CONFORMING: u16 = 0x48;
/// Read-only user data.
pub const READ_ONLY: u16 = 0x50;
/// 32-bit kernel code.
pub const CODE32: u16 = 0x58;
/// Kernel data that is not present.
pub const ABSENT_DATA: u16 = 0x60;
/// Beyond the GDT.
pub const OUTSIDE: u16 = 0xfff8;
/// In the LDT, which there is not.
pub const LDT_SELECTOR: u16 = 0x0c;

/// Where sequences stand.
#[cfg(target_os = "none")]
pub const CODE: u64 = 0x1_0000_0000;
/// The data page; behind it a page that is not there, one that is read-only
/// and one that user code may not touch.
#[cfg(target_os = "none")]
pub const DATA: u64 = CODE + 0x1000;
