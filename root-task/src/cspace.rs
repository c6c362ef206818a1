//! The root task's own CSpace.
//!
//! The kernel starts the root task with one CNode of 2^16 slots. It goes on
//! with two levels: a first CNode whose entry 0 is the initial one (so every
//! address of before stays valid) and whose other entries are the CNodes of
//! the shadow-servers. Thus the root task can invoke what lies in a server's
//! CNode: map its frames, assign its address spaces, stop its vCPUs.
//!
//! ```text
//!  63      56 55                                    0
//! | server+1 |  guard 0 …          | slot            |
//! ```

use sel4::{AbsoluteCPtr, CNodeCapData, CPtr, ObjectBlueprint, cap, init_thread};

use crate::error::{BuildError, Named};
use crate::memory::Memory;

/// log2 of the first level's slots.
const FIRST_LEVEL_BITS: u32 = 8;
/// log2 of the initial CNode's slots (CONFIG_ROOT_CNODE_SIZE_BITS).
const INITIAL_BITS: u32 = 16;
/// Most guests: entries of the first level beyond the initial CNode.
pub const MAX_GUESTS: usize = 16;

/// The slots that are left, and the first level.
pub struct CSpace {
    next: u64,
    end: u64,
    first_level: cap::CNode,
}

impl CSpace {
    /// Puts the two levels in place.
    ///
    /// # Errors
    /// [`BuildError`] if the kernel refuses; nothing can run then.
    pub fn install(
        empty: core::ops::Range<usize>,
        memory: &mut Memory,
    ) -> Result<Self, BuildError> {
        let mut this = Self {
            next: empty.start as u64,
            end: empty.end as u64,
            first_level: cap::CNode::from_bits(0),
        };
        let first_level =
            this.make(&ObjectBlueprint::CNode { size_bits: FIRST_LEVEL_BITS as usize }, memory)?;
        this.first_level = first_level.cast();
        let guard = (64 - FIRST_LEVEL_BITS - INITIAL_BITS) as usize;
        this.first_level_entry(0)
            .mint_cnode(&Self::slot(init_thread::slot::CNODE.cptr()), CNodeCapData::skip(guard))
            .named("mint of the initial CNode")?;
        init_thread::slot::TCB
            .tcb_set_space(
                CPtr::NULL,
                this.first_level,
                Some(CNodeCapData::skip(0)),
                init_thread::slot::VSPACE,
            )
            .named("set_space of the root task")?;
        Ok(this)
    }

    fn first_level_entry(&self, index: u64) -> AbsoluteCPtr {
        self.first_level.absolute_cptr_from_bits_with_depth(index, FIRST_LEVEL_BITS as usize)
    }

    /// A slot of the initial CNode, as a place.
    pub fn slot(cptr: CPtr) -> AbsoluteCPtr {
        init_thread::slot::CNODE.absolute_cptr(cptr)
    }

    /// Takes `count` neighbouring empty slots; gives the first.
    ///
    /// # Errors
    /// [`BuildError::OutOfSlots`].
    pub fn take(&mut self, count: u64) -> Result<u64, BuildError> {
        if self.end - self.next < count {
            return Err(BuildError::OutOfSlots);
        }
        self.next += count;
        Ok(self.next - count)
    }

    /// Makes one object in a slot of its own.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots are used up.
    pub fn make(
        &mut self,
        blueprint: &ObjectBlueprint,
        memory: &mut Memory,
    ) -> Result<CPtr, BuildError> {
        let slot = self.take(1)?;
        let into = init_thread::slot::CNODE.absolute_cptr_for_self();
        memory.make(blueprint, &into, slot, 1)?;
        Ok(CPtr::from_bits(slot))
    }

    /// Makes the CNode of guest number `guest`'s server reachable for
    /// invocations below it.
    ///
    /// # Errors
    /// [`BuildError`] if the kernel refuses.
    pub fn attach(&self, guest: usize, cnode: cap::CNode, radix: u32) -> Result<(), BuildError> {
        let guard = 64 - FIRST_LEVEL_BITS as usize - radix as usize;
        self.first_level_entry(guest as u64 + 1)
            .mint_cnode(&Self::slot(cnode.cptr()), CNodeCapData::skip(guard))
            .named("mint of a server's CNode")
    }

    /// The address of slot `slot` in guest number `guest`'s server's CNode.
    pub const fn in_server(guest: usize, slot: u64) -> CPtr {
        CPtr::from_bits((guest as u64 + 1) << (64 - FIRST_LEVEL_BITS) | slot)
    }
}
