//! Address space identifiers: an address space needs one before anything is mapped in it.

use super::invoke;
use crate::abi::label;
use crate::{AbsoluteCPtr, Result, Word, cap};

impl cap::AsidControl {
    /// Makes a pool of 512 identifiers in the slot `dst`, of a 4 KiB untyped object without
    /// children. Corresponds to `seL4_X86_ASIDControl_MakePool`.
    ///
    /// # Errors
    ///
    /// * `DeleteFirst`: all eight pools exist, or `dst` is occupied.
    /// * `InvalidCapability`: `untyped` is not untyped memory of 4 KiB, or it is device memory.
    /// * `RevokeFirst`: `untyped` has children.
    /// * `FailedLookup`: the path to `dst` leads nowhere.
    pub fn asid_control_make_pool(self, untyped: cap::Untyped, dst: &AbsoluteCPtr) -> Result<()> {
        let caps = [untyped.cptr(), dst.root().cptr()];
        let args = [dst.path().bits(), dst.path().depth() as Word];
        invoke(self.cptr(), label::X86_ASID_CONTROL_MAKE_POOL, caps, args).map(drop)
    }
}

impl cap::AsidPool {
    /// Gives a new address space an identifier. Corresponds to `seL4_X86_ASIDPool_Assign`.
    ///
    /// # Errors
    ///
    /// * `DeleteFirst`: the pool is used up.
    /// * `InvalidCapability`: `vspace` is no address space, or it has an identifier.
    /// * `FailedLookup`: the pool was deleted.
    pub fn asid_pool_assign(self, vspace: cap::VSpace) -> Result<()> {
        invoke(self.cptr(), label::X86_ASID_POOL_ASSIGN, [vspace.cptr()], []).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::one;
    use super::*;

    #[test]
    fn arguments() {
        let slot = cap::CNode::from_bits(2).absolute_cptr_from_bits_with_depth(8, 9);
        let seen = one(|| {
            cap::AsidControl::from_bits(5)
                .asid_control_make_pool(cap::Untyped::from_bits(60), &slot)
        });
        assert_eq!((seen.service, seen.caps, seen.args), (5, vec![60, 2], vec![8, 9]));
        let seen = one(|| cap::AsidPool::from_bits(6).asid_pool_assign(cap::VSpace::from_bits(70)));
        assert_eq!((seen.service, seen.caps, seen.args), (6, vec![70], vec![]));
    }
}
