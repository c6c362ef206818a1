//! Making objects of memory.

use super::invoke;
use crate::abi::label;
use crate::{AbsoluteCPtr, ObjectBlueprint, Result, Word, cap};

impl cap::Untyped {
    /// Makes `num_objects` objects and puts their capabilities into successive slots of the CNode
    /// `dst`, from `dst_offset` on. Corresponds to `seL4_Untyped_Retype`.
    ///
    /// The slots are empty. `dst` names a CNode, most often by
    /// [`absolute_cptr_for_self`](cap::CNode::absolute_cptr_for_self). The first retype of an untyped
    /// object without children starts it over, which zeroes all its memory.
    ///
    /// # Errors
    ///
    /// * `InvalidArgument`: no such kind of object, or its size is zero or too small.
    /// * `RangeError`: more than [`Abi::retype_limit`](crate::dialect::Abi) objects or none, a size
    ///   beyond the largest, or slots beyond the end of the CNode.
    /// * `FailedLookup`: `dst` is no CNode, or its path leads nowhere.
    /// * `DeleteFirst`: one of the slots is occupied.
    /// * `NotEnoughMemory`: too little of the untyped object is left.
    /// * `InvalidArgument` also if device memory is to become anything but frames or untyped objects.
    pub fn untyped_retype(
        self,
        blueprint: &ObjectBlueprint,
        dst: &AbsoluteCPtr,
        dst_offset: usize,
        num_objects: usize,
    ) -> Result<()> {
        let args = [
            blueprint.ty(),
            blueprint.api_size_bits().unwrap_or(0) as Word,
            dst.path().bits(),
            dst.path().depth() as Word,
            dst_offset as Word,
            num_objects as Word,
        ];
        invoke(self.cptr(), label::UNTYPED_RETYPE, [dst.root().cptr()], args).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::one;
    use super::*;

    #[test]
    fn retype_into_a_cnode() {
        let node = cap::CNode::from_bits(2);
        let seen = one(|| {
            cap::Untyped::from_bits(50).untyped_retype(
                &ObjectBlueprint::CNode { size_bits: 9 },
                &node.absolute_cptr_for_self(),
                100,
                1,
            )
        });
        assert_eq!((seen.service, seen.label, seen.caps), (50, label::UNTYPED_RETYPE, vec![2]));
        assert_eq!(seen.args, [4, 9, 0, 0, 100, 1]);
    }
}
