//! The root task's stack.

#![allow(unsafe_code, reason = "a stack is memory that changes behind Rust's back")]

use core::cell::UnsafeCell;

use sel4::{BootInfoPtr, cap};

const PAGE: usize = 4096;

/// A guard page and, above it, `SIZE` bytes of stack, which grows down.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Stack<const SIZE: usize> {
    guard: [u8; PAGE],
    bytes: UnsafeCell<[u8; SIZE]>,
}

// SAFETY: nobody refers to the bytes but the stack pointer of the one thread.
unsafe impl<const SIZE: usize> Sync for Stack<SIZE> {}

impl<const SIZE: usize> Stack<SIZE> {
    /// Bytes from the start of the guard page to the end of the stack.
    pub const SIZE: usize = {
        assert!(SIZE > 0 && SIZE.is_multiple_of(PAGE), "a stack has whole pages");
        PAGE + SIZE
    };

    /// A stack of zeros, which takes room in .bss only.
    pub const fn new() -> Self {
        Self { guard: [0; PAGE], bytes: UnsafeCell::new([0; SIZE]) }
    }
}

impl<const SIZE: usize> Default for Stack<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

/// Unmaps the guard page, so that an overflow faults instead of writing over other data.
///
/// The kernel left one frame capability for each page of the image, in the order of addresses.
/// Should the page not be found (another linker script), the stack stays without a guard.
///
/// # Safety
///
/// Nothing but the stack's overflow uses the guard page.
pub unsafe fn unmap_guard<const SIZE: usize>(stack: &'static Stack<SIZE>, bootinfo: &BootInfoPtr) {
    unsafe extern "C" {
        safe static __image_start: u8;
    }
    let guard = (&raw const stack.guard).addr();
    let image = (&raw const __image_start).addr();
    let Some(page) = guard.checked_sub(image).map(|offset| offset / PAGE) else {
        return;
    };
    if let Some(slot) = bootinfo.user_image_frames().nth(page) {
        // Refused only if the slot holds no frame, which it does on every kernel we know.
        let _ = cap::Granule::from_bits(slot as u64).frame_unmap();
    }
}
