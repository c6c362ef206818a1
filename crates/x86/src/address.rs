//! The address kinds: guest-virtual, guest-physical, and guest frame numbers.

use core::fmt;

/// log2 of the page size.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a 4 KiB page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

const _: () = assert!(PAGE_SIZE == 4096);

macro_rules! address_kind {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a raw value.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The raw value.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address_kind!(
    /// A guest-virtual address, as a guest instruction uses it. Any 64-bit
    /// value may occur; [`Gva::is_canonical`] says whether paging accepts it.
    Gva
);
address_kind!(
    /// A guest-physical address, in bytes.
    Gpa
);
address_kind!(
    /// A guest frame number: a guest-physical address in units of 4 KiB.
    Gfn
);

impl Gva {
    /// Whether bits 63:47 are all equal (SDM vol. 1, §3.3.7.1, 48-bit
    /// linear addresses).
    pub const fn is_canonical(self) -> bool {
        ((self.0 as i64) << 16 >> 16) as u64 == self.0
    }

    /// Byte offset in its 4 KiB page.
    pub const fn page_offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }

    /// The first byte of its 4 KiB page.
    pub const fn page_base(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }

    /// The address `bytes` further on, wrapping as the CPU's linear-address
    /// arithmetic does.
    pub const fn wrapping_add(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Gpa {
    /// The frame that holds this byte.
    pub const fn gfn(self) -> Gfn {
        Gfn(self.0 >> PAGE_SHIFT)
    }

    /// Byte offset in its 4 KiB frame.
    pub const fn page_offset(self) -> u64 {
        self.0 & (PAGE_SIZE - 1)
    }

    /// The address `bytes` further on, or `None` past 2^64.
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

impl Gfn {
    /// The guest-physical address of the frame's first byte. Frame numbers
    /// above 2^52 do not occur in page-table entries; higher bits are dropped.
    pub const fn base(self) -> Gpa {
        Gpa(self.0 << PAGE_SHIFT)
    }

    /// The frame `count` further on, or `None` past 2^64.
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_edges() {
        assert!(Gva::new(0x0000_7fff_ffff_ffff).is_canonical());
        assert!(!Gva::new(0x0000_8000_0000_0000).is_canonical());
        assert!(!Gva::new(0xffff_7fff_ffff_ffff).is_canonical());
        assert!(Gva::new(0xffff_8000_0000_0000).is_canonical());
        assert!(Gva::new(u64::MAX).is_canonical());
    }

    #[test]
    fn frames_and_offsets_rebuild_the_address() {
        let gpa = Gpa::new(0x1234_5678);
        assert_eq!(gpa.gfn().base().get() + gpa.page_offset(), gpa.get());
    }

    #[test]
    fn debug_names_the_kind() {
        assert_eq!(format!("{:?}", Gpa::new(0x1000)), "Gpa(0x1000)");
    }
}
