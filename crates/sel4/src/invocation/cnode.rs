//! Moving capabilities between slots.
//!
//! All methods may fail with `FailedLookup` (a path leads nowhere or its root is no CNode) and
//! `RangeError` (a depth is 0 or above 64); those that name a destination with `DeleteFirst` (it is
//! occupied), those that name a source with `FailedLookup` (it is empty).

use super::invoke;
use crate::abi::label;
use crate::dialect::CNodeCapData;
use crate::{ABI, AbsoluteCPtr, Badge, CapRights, Result, Word};

impl AbsoluteCPtr {
    fn words(&self) -> [Word; 2] {
        [self.path().bits(), self.path().depth() as Word]
    }

    fn alone(&self, label: Word) -> Result<()> {
        invoke(self.root().cptr(), label, [], self.words()).map(drop)
    }

    #[inline]
    fn invoke_from<const N: usize>(
        &self,
        label: Word,
        src: &AbsoluteCPtr,
        args: impl FnOnce([Word; 2], [Word; 2]) -> [Word; N],
    ) -> Result<()> {
        let args = args(self.words(), src.words());
        invoke(self.root().cptr(), label, [src.root().cptr()], args).map(drop)
    }

    /// Deletes every capability derived from this one, which stays. Corresponds to
    /// `seL4_CNode_Revoke`.
    ///
    /// Long revocations are preempted and restarted by the kernel: other threads run in between.
    pub fn revoke(&self) -> Result<()> {
        self.alone(label::C_NODE_REVOKE)
    }

    /// Deletes the capability; the object too if it was the last. Deleting an empty slot succeeds.
    /// Corresponds to `seL4_CNode_Delete`.
    ///
    /// Stock 5.0.0 leaves the mapping of a frame capability that is not the last one to its frame:
    /// unmap before deleting.
    pub fn delete(&self) -> Result<()> {
        self.alone(label::C_NODE_DELETE)
    }

    /// Removes the waiting senders that used this badged endpoint capability. Corresponds to
    /// `seL4_CNode_CancelBadgedSends`.
    ///
    /// # Errors
    ///
    /// `IllegalOperation`: the capability is no endpoint with all rights.
    pub fn cancel_badged_sends(&self) -> Result<()> {
        self.alone(label::C_NODE_CANCEL_BADGED_SENDS)
    }

    /// Copies `src` into this slot, with at most `rights`. Corresponds to `seL4_CNode_Copy`.
    ///
    /// A copy of a mapped frame capability is not mapped.
    ///
    /// # Errors
    ///
    /// * `RevokeFirst`: `src` is an untyped object with children.
    /// * `IllegalOperation`: `src` cannot be copied (a reply, IRQ control, or an unmapped paging
    ///   object).
    pub fn copy(&self, src: &AbsoluteCPtr, rights: CapRights) -> Result<()> {
        self.invoke_from(label::C_NODE_COPY, src, |[index, depth], [src_index, src_depth]| {
            [index, depth, src_index, src_depth, rights.into_word()]
        })
    }

    /// Copies `src` into this slot with a badge. Corresponds to `seL4_CNode_Mint`.
    ///
    /// `src` is an endpoint or notification capability without a badge.
    ///
    /// # Errors
    ///
    /// Those of [`copy`](Self::copy); `RangeError` for a badge that this kernel would cut;
    /// `IllegalOperation` if `src` already has a badge or cannot have one.
    pub fn mint(&self, src: &AbsoluteCPtr, rights: CapRights, badge: Badge) -> Result<()> {
        self.mint_word(src, rights, ABI.cap_data.badge(badge)?)
    }

    /// Copies the CNode capability `src` into this slot with a guard. Corresponds to
    /// `seL4_CNode_Mint`.
    ///
    /// # Errors
    ///
    /// Those of [`copy`](Self::copy); `RangeError` for a guard that this kernel cannot encode;
    /// `IllegalOperation` if guard and index bits together exceed 64.
    pub fn mint_cnode(&self, src: &AbsoluteCPtr, data: CNodeCapData) -> Result<()> {
        self.mint_word(src, CapRights::all(), ABI.cap_data.guard(data)?)
    }

    /// Mints with data as the kernel takes it.
    pub(super) fn mint_word(
        &self,
        src: &AbsoluteCPtr,
        rights: CapRights,
        data: Word,
    ) -> Result<()> {
        self.invoke_from(label::C_NODE_MINT, src, |[index, depth], [src_index, src_depth]| {
            [index, depth, src_index, src_depth, rights.into_word(), data]
        })
    }

    /// Moves the capability in `src` into this slot. Mappings survive. Corresponds to
    /// `seL4_CNode_Move`.
    pub fn move_(&self, src: &AbsoluteCPtr) -> Result<()> {
        self.invoke_from(label::C_NODE_MOVE, src, |[index, depth], [src_index, src_depth]| {
            [index, depth, src_index, src_depth]
        })
    }

    /// Moves the capability in `src` into this slot and gives it a badge. Corresponds to
    /// `seL4_CNode_Mutate`.
    ///
    /// # Errors
    ///
    /// `RangeError` and `IllegalOperation` as for [`mint`](Self::mint).
    pub fn mutate(&self, src: &AbsoluteCPtr, badge: Badge) -> Result<()> {
        self.mutate_word(src, ABI.cap_data.badge(badge)?)
    }

    /// Moves the CNode capability in `src` into this slot and gives it a guard. Corresponds to
    /// `seL4_CNode_Mutate`.
    ///
    /// # Errors
    ///
    /// `RangeError` and `IllegalOperation` as for [`mint_cnode`](Self::mint_cnode).
    pub fn mutate_cnode(&self, src: &AbsoluteCPtr, data: CNodeCapData) -> Result<()> {
        self.mutate_word(src, ABI.cap_data.guard(data)?)
    }

    fn mutate_word(&self, src: &AbsoluteCPtr, data: Word) -> Result<()> {
        self.invoke_from(label::C_NODE_MUTATE, src, |[index, depth], [src_index, src_depth]| {
            [index, depth, src_index, src_depth, data]
        })
    }

    /// Moves the right to reply to the last caller into this slot: a capability to be used once,
    /// by [`send`](crate::cap::Endpoint::send). Corresponds to `seL4_CNode_SaveCaller`.
    ///
    /// Without a caller the slot gets nothing and the call succeeds.
    pub fn save_caller(&self) -> Result<()> {
        self.alone(label::C_NODE_SAVE_CALLER)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{one, record};
    use super::*;
    use crate::{Error, cap};

    const ROOT: cap::CNode = cap::CNode::from_bits(2);

    fn slot(index: Word) -> AbsoluteCPtr {
        cap::CNode::from_bits(77).absolute_cptr_from_bits_with_depth(index, 9)
    }

    fn source() -> AbsoluteCPtr {
        ROOT.absolute_cptr(crate::CPtr::from_bits(0x123))
    }

    #[test]
    fn arguments() {
        let seen = one(|| slot(5).copy(&source(), CapRights::read_only()));
        assert_eq!((seen.service, seen.label), (77, label::C_NODE_COPY));
        assert_eq!((seen.caps, seen.args), (vec![2], vec![5, 9, 0x123, 64, 2]));
        let seen = one(|| slot(5).mint(&source(), CapRights::all(), 0xabc));
        assert_eq!((seen.label, seen.args), (label::C_NODE_MINT, vec![5, 9, 0x123, 64, 7, 0xabc]));
        let seen = one(|| slot(5).move_(&source()));
        assert_eq!((seen.label, seen.args), (label::C_NODE_MOVE, vec![5, 9, 0x123, 64]));
        let seen = one(|| slot(5).mutate(&source(), 1));
        assert_eq!((seen.label, seen.args), (label::C_NODE_MUTATE, vec![5, 9, 0x123, 64, 1]));
        for (label, act) in [
            (label::C_NODE_REVOKE, AbsoluteCPtr::revoke as fn(&AbsoluteCPtr) -> Result<()>),
            (label::C_NODE_DELETE, AbsoluteCPtr::delete),
            (label::C_NODE_SAVE_CALLER, AbsoluteCPtr::save_caller),
        ] {
            let seen = one(|| act(&slot(511)));
            assert_eq!((seen.label, seen.caps, seen.args), (label, vec![], vec![511, 9]));
        }
    }

    #[test]
    fn guards_travel_in_the_kernels_encoding() {
        let seen = one(|| slot(1).mint_cnode(&source(), CNodeCapData::skip(55)));
        assert_eq!(seen.args[5], ABI.cap_data.guard(CNodeCapData::skip(55)).unwrap());
    }

    #[test]
    fn what_cannot_be_encoded_does_not_reach_the_kernel() {
        let (result, seen) =
            record([0; 4], || slot(1).mint_cnode(&source(), CNodeCapData::new(2, 1)));
        assert_eq!((result, seen.len()), (Err(Error::RangeError), 0));
        if ABI.cap_data.max_badge() != Word::MAX {
            let (result, seen) =
                record([0; 4], || slot(1).mint(&source(), CapRights::all(), Word::MAX));
            assert_eq!((result, seen.len()), (Err(Error::RangeError), 0));
        }
    }
}
