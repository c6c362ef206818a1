//! x86 I/O ports: In and Out through capabilities.
//!
//! Errors of every access: `IllegalOperation` if a byte of it lies outside the capability's range.

use super::invoke;
use crate::abi::label;
use crate::dialect::{self, IoPorts};
use crate::{ABI, AbsoluteCPtr, CapRights, Result, Word, cap, init_thread};

macro_rules! access {
    ($($(#[$doc:meta])* $read:ident $write:ident $type:ty, $in:ident $out:ident;)*) => {
        impl cap::IOPort {
            $(
                $(#[$doc])*
                #[inline]
                pub fn $read(self, port: u16) -> Result<$type> {
                    let [value, ..] = invoke(self.cptr(), label::$in, [], [port.into()])?;
                    Ok(value as $type)
                }

                $(#[$doc])*
                #[inline]
                pub fn $write(self, port: u16, value: $type) -> Result<()> {
                    let args = [port.into(), value.into()];
                    invoke(self.cptr(), label::$out, [], args).map(drop)
                }
            )*
        }
    };
}

access! {
    /// One byte at `port`. Corresponds to `seL4_X86_IOPort_In8` or `Out8`.
    ioport_in8 ioport_out8 u8, X86_IO_PORT_IN8 X86_IO_PORT_OUT8;
    /// Two bytes at `port`. Corresponds to `seL4_X86_IOPort_In16` or `Out16`.
    ioport_in16 ioport_out16 u16, X86_IO_PORT_IN16 X86_IO_PORT_OUT16;
    /// Four bytes at `port`. Corresponds to `seL4_X86_IOPort_In32` or `Out32`.
    ioport_in32 ioport_out32 u32, X86_IO_PORT_IN32 X86_IO_PORT_OUT32;
}

impl cap::IOPortControl {
    /// Makes a capability for the ports `first` to `last` in the slot `dst`. Corresponds to
    /// `seL4_X86_IOPortControl_Issue`; on 5.0.0 it is a Mint of the capability to all ports, which
    /// must stand in the initial CNode, where the kernel put it.
    ///
    /// Hand out no range twice: 5.0.0 does not object.
    ///
    /// # Errors
    ///
    /// * `InvalidArgument`: `last` is below `first` (5.0.0: `IllegalOperation`).
    /// * `RevokeFirst`: a port of the range is issued already (not on 5.0.0).
    /// * `DeleteFirst`: `dst` is occupied.
    /// * `FailedLookup`: the path to `dst` leads nowhere.
    pub fn ioport_control_issue(self, first: u16, last: u16, dst: &AbsoluteCPtr) -> Result<()> {
        match (ABI.io_ports, label::X86_IO_PORT_CONTROL_ISSUE) {
            (IoPorts::Issued, Some(issue)) => {
                let args: [Word; 4] =
                    [first.into(), last.into(), dst.path().bits(), dst.path().depth() as Word];
                invoke(self.cptr(), issue, [dst.root().cptr()], args).map(drop)
            }
            _ => {
                let all_ports = init_thread::slot::CNODE.absolute_cptr(self);
                dst.mint_word(&all_ports, CapRights::all(), dialect::io_port_word(first, last))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{one, record};
    use super::*;

    #[test]
    fn accesses() {
        let ports = cap::IOPort::from_bits(40);
        let seen = one(|| ports.ioport_out8(0x3f8, 0x41));
        assert_eq!((seen.service, seen.label), (40, label::X86_IO_PORT_OUT8));
        assert_eq!(seen.args, [0x3f8, 0x41]);
        assert_eq!(one(|| ports.ioport_out32(0xcf8, 0x8000_0000)).label, label::X86_IO_PORT_OUT32);
        // The kernel returns the value in a whole register.
        let (value, seen) = record([0xff60, 0, 0, 0], || ports.ioport_in8(0x3fd));
        assert_eq!((value, seen[0].label), (Ok(0x60), label::X86_IO_PORT_IN8));
    }

    #[test]
    fn ranges_are_minted_or_issued() {
        let slot = cap::CNode::from_bits(2).absolute_cptr_from_bits_with_depth(300, 64);
        let control = init_thread::slot::IO_PORT_CONTROL;
        let seen = one(|| control.ioport_control_issue(0x3f8, 0x3ff, &slot));
        match ABI.io_ports {
            IoPorts::Minted => {
                assert_eq!((seen.service, seen.label), (2, label::C_NODE_MINT));
                assert_eq!(seen.caps, [init_thread::slot::CNODE.bits()]);
                assert_eq!(seen.args, [300, 64, control.bits(), 64, 7, 0x03f8_03ff]);
            }
            IoPorts::Issued => {
                assert_eq!(seen.service, control.bits());
                assert_eq!(Some(seen.label), label::X86_IO_PORT_CONTROL_ISSUE);
                assert_eq!((seen.caps, seen.args), (vec![2], vec![0x3f8, 0x3ff, 300, 64]));
            }
        }
    }
}
