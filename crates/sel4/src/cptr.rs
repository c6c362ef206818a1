//! Capability pointers, typed capabilities, and places in a CSpace.

use core::fmt;
use core::marker::PhantomData;

use crate::{WORD_SIZE, Word};

/// The bits of a capability pointer.
pub type CPtrBits = Word;

/// A capability pointer: an address in the caller's CSpace, resolved at full depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CPtr(CPtrBits);

impl CPtr {
    /// Slot 0, which stays empty: stands for "no capability".
    pub const NULL: Self = Self(0);

    /// Takes the bits as they are.
    pub const fn from_bits(bits: CPtrBits) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> CPtrBits {
        self.0
    }

    /// Claims that a capability to an object of type `T` stands there. The kernel checks on use.
    pub const fn cast<T: CapType>(self) -> Cap<T> {
        Cap { cptr: self, of: PhantomData }
    }
}

/// A capability pointer that is believed to lead to an object of type `T`.
///
/// The belief is unchecked and harmless: a wrong one makes invocations fail.
pub struct Cap<T: CapType> {
    cptr: CPtr,
    of: PhantomData<T>,
}

impl<T: CapType> Cap<T> {
    /// A capability by its bits.
    pub const fn from_bits(bits: CPtrBits) -> Self {
        CPtr::from_bits(bits).cast()
    }

    /// The pointer without the type.
    pub const fn cptr(self) -> CPtr {
        self.cptr
    }

    /// The bits of the pointer.
    pub const fn bits(self) -> CPtrBits {
        self.cptr.bits()
    }

    /// Claims another type.
    pub const fn cast<U: CapType>(self) -> Cap<U> {
        self.cptr.cast()
    }
}

impl<T: CapType> Clone for Cap<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: CapType> Copy for Cap<T> {}

impl<T: CapType> PartialEq for Cap<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cptr == other.cptr
    }
}

impl<T: CapType> Eq for Cap<T> {}

impl<T: CapType> fmt::Debug for Cap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#x})", T::NAME, self.bits())
    }
}

/// A kind of kernel object, as a type.
pub trait CapType {
    /// The object's name in messages.
    const NAME: &'static str;
}

macro_rules! cap_types {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Marker types for [`Cap`].
        pub mod cap_type {
            $($(#[$doc])* #[derive(Debug, Clone, Copy, PartialEq, Eq)] pub enum $name {}
            impl super::CapType for $name {
                const NAME: &'static str = stringify!($name);
            })*
        }

        /// Capabilities by the object they lead to.
        pub mod cap {
            use super::{Cap, cap_type};
            $($(#[$doc])* pub type $name = Cap<cap_type::$name>;)*

            /// The root of an address space: on x86-64 a PML4.
            pub type VSpace = PML4;
            /// A frame of the smallest size.
            pub type Granule = _4k;
        }
    };
}

cap_types! {
    /// No capability.
    Null;
    /// Any capability.
    Unspecified;
    /// Memory that objects are made of.
    Untyped;
    /// A rendezvous for messages.
    Endpoint;
    /// A word of signals.
    Notification;
    /// A thread.
    Tcb;
    /// A table of capabilities.
    CNode;
    /// The authority to make interrupt handlers.
    IrqControl;
    /// One interrupt.
    IrqHandler;
    /// The authority to make ASID pools.
    AsidControl;
    /// A pool of address space identifiers.
    AsidPool;
    /// A 4 KiB frame.
    _4k;
    /// A 2 MiB frame.
    LargePage;
    /// A 1 GiB frame.
    HugePage;
    /// A frame of unknown size.
    UnspecifiedPage;
    /// The first level of translation, the root of an address space.
    PML4;
    /// The second level of translation.
    PDPT;
    /// The third level of translation.
    PageDirectory;
    /// The fourth level of translation.
    PageTable;
    /// A range of I/O ports.
    IOPort;
    /// The authority over all I/O ports.
    IOPortControl;
}

/// A capability pointer resolved to a number of bits only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CPtrWithDepth {
    bits: CPtrBits,
    depth: usize,
}

impl CPtrWithDepth {
    /// The path that names the root itself.
    pub const fn empty() -> Self {
        Self::from_bits_with_depth(0, 0)
    }

    /// The low `depth` bits of `bits` as a path.
    pub const fn from_bits_with_depth(bits: CPtrBits, depth: usize) -> Self {
        Self { bits, depth }
    }

    /// The path's bits.
    pub const fn bits(self) -> CPtrBits {
        self.bits
    }

    /// The path's length.
    pub const fn depth(self) -> usize {
        self.depth
    }
}

impl From<CPtr> for CPtrWithDepth {
    fn from(cptr: CPtr) -> Self {
        Self::from_bits_with_depth(cptr.bits(), WORD_SIZE)
    }
}

/// What can be read as a path below a CNode.
pub trait HasCPtrWithDepth {
    /// The path.
    fn cptr_with_depth(self) -> CPtrWithDepth;
}

impl HasCPtrWithDepth for CPtr {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self.into()
    }
}

impl HasCPtrWithDepth for CPtrWithDepth {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self
    }
}

impl<T: CapType> HasCPtrWithDepth for Cap<T> {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self.cptr().into()
    }
}

/// A slot (or CNode) named by a CNode capability and a path below it.
///
/// Slots named so can be filled, emptied, copied from and moved; to *invoke* a capability it must
/// be reachable at full depth in the caller's own CSpace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsoluteCPtr {
    root: cap::CNode,
    path: CPtrWithDepth,
}

impl AbsoluteCPtr {
    /// The CNode.
    pub const fn root(&self) -> cap::CNode {
        self.root
    }

    /// The path below it.
    pub const fn path(&self) -> CPtrWithDepth {
        self.path
    }
}

impl cap::CNode {
    /// The slot at `path` below this CNode. A [`CPtr`] or [`Cap`] counts at full depth, which is
    /// right for the caller's own CSpace root.
    pub fn absolute_cptr(self, path: impl HasCPtrWithDepth) -> AbsoluteCPtr {
        AbsoluteCPtr { root: self, path: path.cptr_with_depth() }
    }

    /// The slot at the low `depth` bits of `bits` below this CNode: for a CNode with 2^n slots and
    /// no guard of its own, slot i is `(i, n)`.
    pub const fn absolute_cptr_from_bits_with_depth(
        self,
        bits: CPtrBits,
        depth: usize,
    ) -> AbsoluteCPtr {
        AbsoluteCPtr { root: self, path: CPtrWithDepth::from_bits_with_depth(bits, depth) }
    }

    /// This CNode itself, as the destination of a retype.
    pub const fn absolute_cptr_for_self(self) -> AbsoluteCPtr {
        AbsoluteCPtr { root: self, path: CPtrWithDepth::empty() }
    }
}
