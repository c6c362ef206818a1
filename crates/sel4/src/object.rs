//! What can be made of untyped memory.

use crate::abi::object as number;
use crate::{CapType, GRANULE_SIZE_BITS, Word, cap_type};

/// A kind of object and, where it varies, its size. Argument of `untyped_retype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectBlueprint {
    /// Smaller untyped memory.
    Untyped {
        /// Bytes, as a power of two, 4 to 47.
        size_bits: usize,
    },
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A table of capabilities.
    CNode {
        /// Slots, as a power of two.
        size_bits: usize,
    },
    /// A thread.
    Tcb,
    /// A 4 KiB frame.
    _4k,
    /// A 2 MiB frame.
    LargePage,
    /// A 1 GiB frame. Kernels without huge pages refuse it with `InvalidArgument`.
    HugePage,
    /// First level of translation.
    PML4,
    /// Second level of translation.
    PDPT,
    /// Third level of translation.
    PageDirectory,
    /// Fourth level of translation.
    PageTable,
}

/// A type number that no kernel has.
const NO_TYPE: Word = Word::MAX;

impl ObjectBlueprint {
    /// The kernel's number for the kind.
    pub const fn ty(self) -> Word {
        match self {
            Self::Untyped { .. } => number::TYPE_UNTYPED,
            Self::Endpoint => number::TYPE_ENDPOINT,
            Self::Notification => number::TYPE_NOTIFICATION,
            Self::CNode { .. } => number::TYPE_CNODE,
            Self::Tcb => number::TYPE_TCB,
            Self::_4k => number::TYPE_4K,
            Self::LargePage => number::TYPE_LARGE_PAGE,
            Self::HugePage => match number::TYPE_HUGE_PAGE {
                Some(ty) => ty,
                None => NO_TYPE,
            },
            Self::PML4 => number::TYPE_PML4,
            Self::PDPT => number::TYPE_PDPT,
            Self::PageDirectory => number::TYPE_PAGE_DIRECTORY,
            Self::PageTable => number::TYPE_PAGE_TABLE,
        }
    }

    /// The size argument of a retype, for the kinds that have one.
    pub const fn api_size_bits(self) -> Option<usize> {
        match self {
            Self::Untyped { size_bits } | Self::CNode { size_bits } => Some(size_bits),
            _ => None,
        }
    }

    /// Memory that one object takes, in bytes as a power of two. Objects are aligned to it.
    pub const fn physical_size_bits(self) -> usize {
        match self {
            Self::Untyped { size_bits } => size_bits,
            Self::CNode { size_bits } => number::SIZE_SLOT as usize + size_bits,
            Self::Endpoint => number::SIZE_ENDPOINT as usize,
            Self::Notification => number::SIZE_NOTIFICATION as usize,
            Self::Tcb => number::SIZE_TCB as usize,
            Self::_4k | Self::PML4 | Self::PDPT | Self::PageDirectory | Self::PageTable => {
                GRANULE_SIZE_BITS
            }
            Self::LargePage => 21,
            Self::HugePage => 30,
        }
    }
}

/// Frames of a known size.
pub trait FrameObjectType: CapType {
    /// What to retype to.
    const BLUEPRINT: ObjectBlueprint;
    /// Bytes, as a power of two.
    const SIZE_BITS: usize = Self::BLUEPRINT.physical_size_bits();
}

impl FrameObjectType for cap_type::_4k {
    const BLUEPRINT: ObjectBlueprint = ObjectBlueprint::_4k;
}

impl FrameObjectType for cap_type::LargePage {
    const BLUEPRINT: ObjectBlueprint = ObjectBlueprint::LargePage;
}

impl FrameObjectType for cap_type::HugePage {
    const BLUEPRINT: ObjectBlueprint = ObjectBlueprint::HugePage;
}

/// The levels of translation that are mapped into an address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TranslationTable {
    /// Maps 2 MiB.
    PageTable,
    /// Maps 1 GiB.
    PageDirectory,
    /// Maps 512 GiB.
    Pdpt,
}

impl TranslationTable {
    /// What to retype to.
    pub const fn blueprint(self) -> ObjectBlueprint {
        match self {
            Self::PageTable => ObjectBlueprint::PageTable,
            Self::PageDirectory => ObjectBlueprint::PageDirectory,
            Self::Pdpt => ObjectBlueprint::PDPT,
        }
    }

    /// Bytes of address space that one table covers, as a power of two.
    pub const fn span_bits(self) -> usize {
        match self {
            Self::PageTable => 21,
            Self::PageDirectory => 30,
            Self::Pdpt => 39,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(ObjectBlueprint::CNode { size_bits: 9 }.physical_size_bits(), 14);
        assert_eq!(ObjectBlueprint::Untyped { size_bits: 20 }.physical_size_bits(), 20);
        assert_eq!(ObjectBlueprint::Tcb.physical_size_bits(), 11);
        assert_eq!(<cap_type::LargePage as FrameObjectType>::SIZE_BITS, 21);
    }
}
