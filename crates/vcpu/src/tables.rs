//! Descriptor tables and the TSS in guest memory.
//!
//! All accesses here are the CPU's own: implicit supervisor accesses, whatever
//! the CPL (SDM vol. 3A, §4.6.1). Every read is checked against the table's limit.

use crate::VcpuState;
use crate::fault::Fault;
use crate::machine::{Machine, Privilege};
use crate::memory::{self, Through};
use crate::segment::{Descriptor, Segment, Selector};

const SYSTEM: Privilege = Privilege::ImplicitSupervisor;

/// Address of the entry of `selector`, `length` bytes long.
///
/// #GP(selector) if it lies beyond the limit of its table, or if it names
/// the LDT and there is none (SDM vol. 3A, §3.5.1, §5.3).
fn entry_address(state: &VcpuState, selector: Selector, length: u64) -> Result<u64, Fault> {
    let (base, limit) = if selector.in_ldt() {
        if !state.ldtr.is_present() {
            return Err(Fault::protection(selector));
        }
        (state.ldtr.base, u64::from(state.ldtr.limit))
    } else {
        (state.gdtr.base, u64::from(state.gdtr.limit))
    };
    if selector.offset() + (length - 1) > limit {
        return Err(Fault::protection(selector));
    }
    Ok(base.wrapping_add(selector.offset()))
}

/// The descriptor of a non-null `selector`.
pub(crate) fn descriptor(
    state: &VcpuState,
    selector: Selector,
    machine: &mut impl Machine,
) -> Result<Descriptor, Fault> {
    let address = entry_address(state, selector, 8)?;
    memory::read(machine, address, SYSTEM, Through::Data).map(u64::from_le_bytes).map(Descriptor)
}

/// The 16-byte system descriptor of a non-null `selector`: its low half and
/// its 64-bit base (SDM vol. 3A, §7.2.3).
pub(crate) fn system_descriptor(
    state: &VcpuState,
    selector: Selector,
    machine: &mut impl Machine,
) -> Result<Segment, Fault> {
    let address = entry_address(state, selector, 16)?;
    let bytes: [u8; 16] = memory::read(machine, address, SYSTEM, Through::Data)?;
    let whole = u128::from_le_bytes(bytes);
    let mut segment = Descriptor(whole as u64).segment(selector);
    segment.base |= (whole >> 64 << 32) as u64;
    // Bits 12:8 of the last word must be zero, so that no half can be taken
    // for a descriptor of its own (SDM vol. 3A, figure 7-4).
    if whole >> 104 & 0x1f != 0 {
        return Err(Fault::protection(selector));
    }
    Ok(segment)
}

/// Sets the type bits `set` in the access byte of `selector`'s descriptor in
/// memory, if they are not yet set in `segment`.
pub(crate) fn mark(
    state: &VcpuState,
    segment: &mut Segment,
    set: u16,
    machine: &mut impl Machine,
) -> Result<(), Fault> {
    if segment.attributes & set == set {
        return Ok(());
    }
    let address = entry_address(state, segment.selector(), 8)?.wrapping_add(5);
    let attributes = segment.attributes | set;
    memory::write(machine, address, &[attributes as u8], SYSTEM, Through::Data)?;
    segment.attributes = attributes;
    Ok(())
}

/// Reads `N` bytes at `offset` of the current TSS, or `None` beyond its limit
/// or without a TSS.
pub(crate) fn tss<const N: usize>(
    state: &VcpuState,
    offset: u64,
    machine: &mut impl Machine,
) -> Result<Option<[u8; N]>, Fault> {
    let last = offset + (N as u64 - 1);
    if !state.tr.is_present() || last > u64::from(state.tr.limit) {
        return Ok(None);
    }
    let address = state.tr.base.wrapping_add(offset);
    memory::read(machine, address, SYSTEM, Through::Data).map(Some)
}
