//! Exception vectors and page faults as the guest sees them.

use bitflags::bitflags;

use crate::Gva;

/// An exception vector (SDM vol. 3A, table 6-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the manual's names say it
pub enum Vector {
    DivideError = 0,
    Debug = 1,
    NonMaskable = 2,
    Breakpoint = 3,
    Overflow = 4,
    BoundRange = 5,
    InvalidOpcode = 6,
    DeviceNotAvailable = 7,
    DoubleFault = 8,
    InvalidTss = 10,
    SegmentNotPresent = 11,
    StackFault = 12,
    GeneralProtection = 13,
    PageFault = 14,
    X87 = 16,
    AlignmentCheck = 17,
    MachineCheck = 18,
    Simd = 19,
}

impl Vector {
    /// The vector of number `number`, or `None` where the manual names none
    /// that hardware raises by itself.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::DivideError,
            1 => Self::Debug,
            2 => Self::NonMaskable,
            3 => Self::Breakpoint,
            4 => Self::Overflow,
            5 => Self::BoundRange,
            6 => Self::InvalidOpcode,
            7 => Self::DeviceNotAvailable,
            8 => Self::DoubleFault,
            10 => Self::InvalidTss,
            11 => Self::SegmentNotPresent,
            12 => Self::StackFault,
            13 => Self::GeneralProtection,
            14 => Self::PageFault,
            16 => Self::X87,
            17 => Self::AlignmentCheck,
            18 => Self::MachineCheck,
            19 => Self::Simd,
            _ => return None,
        })
    }

    /// Whether delivery pushes an error code (SDM vol. 3A, §6.13).
    pub const fn has_error_code(self) -> bool {
        matches!(
            self,
            Self::DoubleFault
                | Self::InvalidTss
                | Self::SegmentNotPresent
                | Self::StackFault
                | Self::GeneralProtection
                | Self::PageFault
                | Self::AlignmentCheck
        )
    }
}

bitflags! {
    /// Error code of a page fault (SDM vol. 3A, figure 4-12).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct PageFaultCode: u32 {
        /// P: a protection violation; clear when an entry was not present.
        const PRESENT = 1 << 0;
        /// W/R: the access was a write.
        const WRITE = 1 << 1;
        /// U/S: the access was made in user mode.
        const USER = 1 << 2;
        /// RSVD: a reserved bit was set in an entry.
        const RESERVED = 1 << 3;
        /// I/D: an instruction fetch (only with EFER.NXE or SMEP).
        const FETCH = 1 << 4;
    }
}

/// A page fault to deliver to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The address that goes into CR2.
    pub address: Gva,
    /// The error code.
    pub code: PageFaultCode,
}
