//! Selectors, descriptors, and segment registers with their hidden parts.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A segment selector (SDM vol. 3A, §3.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector(pub u16);

impl Selector {
    /// Requested privilege level.
    pub const fn rpl(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// Whether it names the null descriptor (entry 0 of the GDT, any RPL).
    pub const fn is_null(self) -> bool {
        self.0 & !3 == 0
    }

    /// Whether it names an entry of the LDT.
    pub const fn in_ldt(self) -> bool {
        self.0 & 4 != 0
    }

    /// Byte offset of its entry in the table.
    pub const fn offset(self) -> u64 {
        (self.0 & !7) as u64
    }

    /// The selector with another RPL.
    pub const fn with_rpl(self, rpl: u8) -> Self {
        Self(self.0 & !3 | (rpl & 3) as u16)
    }

    /// As the selector part of an error code: RPL gives way to EXT and IDT,
    /// both clear (SDM vol. 3A, §6.13).
    pub const fn error_code(self) -> u16 {
        self.0 & !3
    }
}

/// An 8-byte code, data or system descriptor (SDM vol. 3A, figure 3-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// Access byte and flags nibble in one word: bits 7:0 are descriptor bits
    /// 47:40, bits 11:8 are descriptor bits 55:52.
    pub const fn attributes(self) -> u16 {
        (self.0 >> 40 & 0xff | self.0 >> 52 << 8 & 0xf00) as u16
    }

    /// The low 32 bits of the base.
    pub const fn base(self) -> u64 {
        self.0 >> 16 & 0xff_ffff | self.0 >> 56 << 24
    }

    /// The limit in bytes, granularity applied.
    pub const fn limit(self) -> u32 {
        let raw = (self.0 & 0xffff | self.0 >> 32 & 0xf_0000) as u32;
        if self.0 >> 55 & 1 == 1 { raw << 12 | 0xfff } else { raw }
    }

    /// The register contents that loading this descriptor gives.
    pub const fn segment(self, selector: Selector) -> Segment {
        Segment {
            base: self.base(),
            limit: self.limit(),
            selector: selector.0,
            attributes: self.attributes(),
        }
    }
}

/// A segment register: selector and hidden part. For FS and GS the base is
/// not kept here but in [`Registers`](crate::Registers).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Segment {
    /// Base address.
    pub base: u64,
    /// Limit in bytes, granularity applied.
    pub limit: u32,
    /// The visible selector.
    pub selector: u16,
    /// Access byte in bits 7:0, flags (AVL, L, D/B, G) in bits 11:8. Zero in
    /// a register that holds no segment.
    pub attributes: u16,
}

impl Segment {
    /// Bit 0 of a code or data segment's attributes: accessed.
    pub const ACCESSED: u16 = 1 << 0;
    /// Bit 1: writable data, or readable code.
    pub const WRITABLE_OR_READABLE: u16 = 1 << 1;
    /// Bit 2: expand-down data, or conforming code.
    pub const CONFORMING: u16 = 1 << 2;
    /// Bit 3: code.
    pub const CODE: u16 = 1 << 3;
    /// Bit 4: code or data (clear: a system descriptor).
    pub const CODE_OR_DATA: u16 = 1 << 4;
    /// Bit 7: present.
    pub const PRESENT: u16 = 1 << 7;
    /// L: 64-bit code.
    pub const LONG: u16 = 1 << 9;
    /// D/B: 32-bit default operand size.
    pub const BIG: u16 = 1 << 10;

    /// System type of an available 64-bit TSS (SDM vol. 3A, table 3-2).
    pub const TSS_AVAILABLE: u16 = 0x9;
    /// System type of a busy 64-bit TSS.
    pub const TSS_BUSY: u16 = 0xb;
    /// System type of an LDT.
    pub const LDT: u16 = 0x2;

    /// A flat, present, accessed 64-bit code segment.
    pub const fn flat_code(selector: u16, dpl: u8) -> Self {
        Self::flat(selector, 0xa9b | ((dpl & 3) as u16) << 5)
    }

    /// A flat, present, accessed, writable data segment.
    pub const fn flat_data(selector: u16, dpl: u8) -> Self {
        Self::flat(selector, 0xc93 | ((dpl & 3) as u16) << 5)
    }

    const fn flat(selector: u16, attributes: u16) -> Self {
        Self { base: 0, limit: u32::MAX, selector, attributes }
    }

    /// A register loaded with a null selector.
    pub const fn null(selector: u16) -> Self {
        Self { base: 0, limit: 0, selector, attributes: 0 }
    }

    /// The visible selector.
    pub const fn selector(&self) -> Selector {
        Selector(self.selector)
    }

    /// Descriptor privilege level.
    pub const fn dpl(&self) -> u8 {
        (self.attributes >> 5 & 3) as u8
    }

    /// Whether the segment is present.
    pub const fn is_present(&self) -> bool {
        self.attributes & Self::PRESENT != 0
    }

    /// Whether this is a code segment.
    pub const fn is_code(&self) -> bool {
        self.attributes & (Self::CODE | Self::CODE_OR_DATA) == Self::CODE | Self::CODE_OR_DATA
    }

    /// Whether this is a data segment that may be written.
    pub const fn is_writable_data(&self) -> bool {
        let mask = Self::CODE | Self::CODE_OR_DATA | Self::WRITABLE_OR_READABLE;
        self.attributes & mask == Self::CODE_OR_DATA | Self::WRITABLE_OR_READABLE
    }

    /// Whether data may be read through it: any data, or readable code.
    pub const fn is_readable(&self) -> bool {
        self.attributes & Self::CODE_OR_DATA != 0
            && (!self.is_code() || self.attributes & Self::WRITABLE_OR_READABLE != 0)
    }

    /// Whether this is conforming code.
    pub const fn is_conforming_code(&self) -> bool {
        self.is_code() && self.attributes & Self::CONFORMING != 0
    }

    /// Whether this is code that runs in 64-bit mode: L set, D clear.
    pub const fn is_long_code(&self) -> bool {
        self.is_code() && self.attributes & (Self::LONG | Self::BIG) == Self::LONG
    }

    /// The type of a system segment, or `None` for code and data.
    pub const fn system_type(&self) -> Option<u16> {
        if self.attributes & Self::CODE_OR_DATA == 0 { Some(self.attributes & 0xf) } else { None }
    }
}

/// GDTR or IDTR.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TableRegister {
    /// Linear address of the table.
    pub base: u64,
    /// Offset of the table's last byte.
    pub limit: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

impl TableRegister {
    /// A table at `base` whose last byte is at offset `limit`.
    pub const fn new(base: u64, limit: u16) -> Self {
        Self { base, limit, reserved: [0; 3] }
    }
}

/// The segment registers, numbered as ModRM's reg field encodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the manual's names say it
pub enum SegmentName {
    Es = 0,
    Cs = 1,
    Ss = 2,
    Ds = 3,
    Fs = 4,
    Gs = 5,
}

impl SegmentName {
    /// The register that `number` encodes; `None` for 6 and 7 (#UD).
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Es,
            1 => Self::Cs,
            2 => Self::Ss,
            3 => Self::Ds,
            4 => Self::Fs,
            5 => Self::Gs,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The descriptors that Solo5's bindings put into their GDT.
    #[test]
    fn solo5_descriptors() {
        let code = Descriptor(0x00af_9900_0000_ffff).segment(Selector(8));
        assert!(code.is_long_code() && code.is_present() && !code.is_conforming_code());
        assert!(!code.is_readable());
        assert_eq!((code.base, code.limit, code.dpl()), (0, u32::MAX, 0));
        let data = Descriptor(0x00cf_9300_0000_ffff).segment(Selector(16));
        assert!(data.is_writable_data() && data.is_readable() && !data.is_code());
        assert_eq!(data, Segment::flat_data(16, 0));
    }

    #[test]
    fn base_and_limit_are_gathered_from_their_parts() {
        let descriptor = Descriptor(0x1240_8934_5678_9abc);
        assert_eq!(descriptor.base(), 0x1234_5678);
        assert_eq!(descriptor.limit(), 0x9abc);
        assert_eq!(descriptor.attributes(), 0x489);
        assert_eq!(Descriptor(0x0080_0000_0000_0001).limit(), 0x1fff);
    }

    #[test]
    fn null_selectors_have_any_rpl() {
        assert!((0..4).all(|value| Selector(value).is_null()));
        assert!(!Selector(4).is_null() && Selector(4).in_ldt());
    }
}
