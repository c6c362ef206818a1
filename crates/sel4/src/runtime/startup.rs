//! The page that the builder hands to a new process.

#![allow(unsafe_code, reason = "the page is known by address only")]

/// The read-only page with what the process must know; its format is the builder's and the
/// process's matter.
#[derive(Debug, Clone, Copy)]
pub struct StartupPage(&'static [u8; 4096]);

impl StartupPage {
    /// Takes the page at an address. The entry macro does this.
    ///
    /// # Safety
    ///
    /// The page is mapped for the life of the process and nobody writes it.
    pub unsafe fn new(address: *const u8) -> Self {
        // SAFETY: as demanded; bytes have no alignment and no invalid values.
        Self(unsafe { &*address.cast() })
    }

    /// The content.
    pub fn bytes(self) -> &'static [u8; 4096] {
        self.0
    }
}
