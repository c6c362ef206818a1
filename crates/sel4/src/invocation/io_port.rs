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
                let args: [Word; 4] = [
                    first.into(),
                    last.into(),
                    dst.path().bits(),
                    dst.path().depth() as Word,
                ];
                invoke(self.cptr(), issue, [dst.root().cptr()], args).map(drop)
            }
            _ => {
                let all_ports = init_thread::slot::CNODE.absolute_cptr(self);
                dst.mint_word(
                    &all_ports,
                    CapRights::all(),
                    dialect::io_port_word(first, last),
                )
            }
        }
    }
}
