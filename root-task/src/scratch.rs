//! The root task's scratch page: one frame at a time, to fill or to read.

#![allow(unsafe_code, reason = "frames become bytes here")]

use sel4::{CapRights, cap};

use crate::address_space::{AddressSpace, Stores};
use crate::error::{BuildError, Named};

/// Where the scratch page lies in the root task's address space.
const ADDRESS: u64 = 0x100_0000_0000;
/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4096;

/// A page of the root task's address space that holds any one frame for a moment.
pub struct Scratch(());

impl Scratch {
    /// Claims the scratch page. There is one; the caller makes one value.
    pub const fn claim() -> Self {
        Self(())
    }

    /// Maps `frame`, lets `work` see its bytes, and unmaps it again.
    /// `frame` must be a capability that is not mapped.
    ///
    /// # Errors
    /// [`BuildError`] if the kernel refuses.
    pub fn with<T>(
        &mut self,
        frame: cap::Granule,
        stores: &mut Stores,
        work: impl FnOnce(&mut [u8; FRAME_BYTES]) -> T,
    ) -> Result<T, BuildError> {
        AddressSpace::own().map(frame, ADDRESS, CapRights::read_write(), stores)?;
        // SAFETY: the page at ADDRESS was just mapped read-write and stays so
        // until the unmap below; `&mut self` makes this the only reference.
        // Nobody else runs on this frame: processes under construction do not
        // run yet, and crashed ones no longer.
        let bytes = unsafe { &mut *(ADDRESS as *mut [u8; FRAME_BYTES]) };
        let result = work(bytes);
        frame.frame_unmap().named("unmapping of the scratch page")?;
        Ok(result)
    }
}
