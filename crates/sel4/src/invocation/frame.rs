//! Mapping frames.
//!
//! A frame capability maps once; for a second mapping copy it. What the releases do alike and is
//! safe to build on: unmap before mapping elsewhere, over something, or deleting.

use super::invoke;
use crate::abi::label;
use crate::dialect::Remap;
use crate::{ABI, CapRights, CapType, FrameObjectType, Result, VmAttributes, Word, cap, cap_type};

/// Kinds of frame capability, of known size or not.
trait Frame: CapType {}
impl<T: FrameObjectType> Frame for T {}
impl Frame for cap_type::UnspecifiedPage {}

#[allow(private_bounds, reason = "which capabilities are frames is this crate's matter")]
impl<T: Frame> crate::Cap<T> {
    /// Maps the frame at `vaddr`. Corresponds to `seL4_X86_Page_Map`.
    ///
    /// The address space has an ASID and all upper levels there. Rights beyond those of the
    /// capability are dropped silently. Keep `vaddr` below 0x7fff_ffff_f000: stock 5.0.0 accepts
    /// more, and a guest could crash it with a page there.
    ///
    /// # Errors
    ///
    /// * `AlignmentError`: `vaddr` is not aligned to the frame's size.
    /// * `FailedLookup`: an upper level is missing, or the address space has no ASID.
    /// * `InvalidArgument`: `vaddr` belongs to the kernel; from 13.0.0 on also a frame that is
    ///   mapped at another address of this space.
    /// * `InvalidCapability`: `vspace` is no address space; the frame is mapped in another one; on
    ///   5.0.0 any frame that is mapped, even here.
    /// * `DeleteFirst`: something is mapped there (5.0.0; later kernels overwrite it silently).
    #[inline]
    pub fn frame_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        rights: CapRights,
        attrs: VmAttributes,
    ) -> Result<()> {
        let args = [vaddr as Word, rights.into_word(), attrs.into_word()];
        invoke(self.cptr(), label::X86_PAGE_MAP, [vspace.cptr()], args).map(drop)
    }

    /// Changes rights and attributes of a frame that is mapped at `vaddr`. Corresponds to
    /// `seL4_X86_Page_Remap` of 5.0.0 (which has no use for `vaddr`), later to
    /// `seL4_X86_Page_Map`.
    ///
    /// Translations of the *loaded* address space are not flushed, so a process must not lower
    /// rights in its own. For others the switch to them flushes, on one core without PCID.
    ///
    /// # Errors
    ///
    /// * `InvalidCapability`: the frame is not mapped, or not in `vspace`.
    /// * `FailedLookup`: an upper level went away.
    #[inline]
    pub fn frame_remap(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        rights: CapRights,
        attrs: VmAttributes,
    ) -> Result<()> {
        match (ABI.remap, label::X86_PAGE_REMAP) {
            (Remap::Invocation, Some(remap)) => {
                let args = [rights.into_word(), attrs.into_word()];
                invoke(self.cptr(), remap, [vspace.cptr()], args).map(drop)
            }
            _ => self.frame_map(vspace, vaddr, rights, attrs),
        }
    }

    /// Unmaps the frame. Unmapping one that is not mapped succeeds. Corresponds to
    /// `seL4_X86_Page_Unmap`.
    #[inline]
    pub fn frame_unmap(self) -> Result<()> {
        invoke(self.cptr(), label::X86_PAGE_UNMAP, [], []).map(drop)
    }

    /// The frame's physical address. Corresponds to `seL4_X86_Page_GetAddress`.
    pub fn frame_get_address(self) -> Result<usize> {
        let [address, ..] = invoke(self.cptr(), label::X86_PAGE_GET_ADDRESS, [], [])?;
        Ok(address as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{one, record};
    use super::*;

    const FRAME: cap::Granule = cap::Granule::from_bits(30);
    const SPACE: cap::VSpace = cap::VSpace::from_bits(3);

    #[test]
    fn arguments() {
        let attrs = VmAttributes::UNCACHEABLE;
        let seen = one(|| FRAME.frame_map(SPACE, 0x40_0000, CapRights::read_write(), attrs));
        assert_eq!((seen.service, seen.label, seen.caps), (30, label::X86_PAGE_MAP, vec![3]));
        assert_eq!(seen.args, [0x40_0000, 3, 3]);
        let seen = one(|| FRAME.frame_unmap());
        assert_eq!((seen.label, seen.args), (label::X86_PAGE_UNMAP, vec![]));
        let (address, _) = record([0x1f00_0000, 0, 0, 0], || FRAME.frame_get_address());
        assert_eq!(address, Ok(0x1f00_0000));
    }

    #[test]
    fn remap_is_what_the_kernel_has() {
        let seen = one(|| {
            FRAME.frame_remap(SPACE, 0x40_0000, CapRights::read_only(), VmAttributes::DEFAULT)
        });
        match ABI.remap {
            Remap::Invocation => {
                assert_eq!((Some(seen.label), seen.args), (label::X86_PAGE_REMAP, vec![2, 0]));
            }
            Remap::MapAgain => {
                assert_eq!(seen.label, label::X86_PAGE_MAP);
                assert_eq!(seen.args, [0x40_0000, 2, 0]);
            }
        }
    }
}
