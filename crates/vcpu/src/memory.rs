//! Checked accesses of instructions: canonical addresses first, then paging.

use x86::{Gva, PAGE_SIZE, Vector};

use crate::fault::Fault;
use crate::machine::{Access, Machine, Privilege};

/// Which exception a non-canonical address raises: #SS through the stack
/// segment, #GP otherwise (SDM vol. 1, §3.3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    Data,
    Stack,
}

/// A linear range, canonical at both ends and not wrapping.
fn check(gva: u64, length: usize, through: Through) -> Result<Gva, Fault> {
    let first = Gva::new(gva);
    if first.is_canonical() && first.page_offset() + length as u64 <= PAGE_SIZE {
        return Ok(first);
    }
    let last = gva.checked_add((length as u64).saturating_sub(1)).map(Gva::new);
    match last {
        Some(last) if first.is_canonical() && last.is_canonical() => Ok(first),
        _ => Err(match through {
            Through::Data => Fault::GENERAL_PROTECTION,
            Through::Stack => Fault::Exception(Vector::StackFault, 0),
        }),
    }
}

/// Reads `N` bytes at `gva`.
pub(crate) fn read<const N: usize>(
    machine: &mut impl Machine,
    gva: u64,
    privilege: Privilege,
    through: Through,
) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    read_into(machine, gva, &mut bytes, privilege, through)?;
    Ok(bytes)
}

/// Reads at `gva` until `bytes` is full.
pub(crate) fn read_into(
    machine: &mut impl Machine,
    gva: u64,
    bytes: &mut [u8],
    privilege: Privilege,
    through: Through,
) -> Result<(), Fault> {
    let gva = check(gva, bytes.len(), through)?;
    machine.read(gva, bytes, Access::read(privilege))?;
    Ok(())
}

/// Writes `bytes` at `gva`.
pub(crate) fn write(
    machine: &mut impl Machine,
    gva: u64,
    bytes: &[u8],
    privilege: Privilege,
    through: Through,
) -> Result<(), Fault> {
    let gva = check(gva, bytes.len(), through)?;
    machine.write(gva, bytes, Access::write(privilege))?;
    Ok(())
}

/// Checks that `length` bytes at `gva` can be written.
pub(crate) fn probe_write(
    machine: &mut impl Machine,
    gva: u64,
    length: usize,
    privilege: Privilege,
) -> Result<(), Fault> {
    let gva = check(gva, length, Through::Data)?;
    machine.probe(gva, length, Access::write(privilege))?;
    Ok(())
}

/// Reads a value of `bytes` (1, 2, 4 or 8) bytes, zero-extended.
pub(crate) fn read_sized(
    machine: &mut impl Machine,
    gva: u64,
    bytes: u8,
    privilege: Privilege,
    through: Through,
) -> Result<u64, Fault> {
    Ok(match bytes {
        1 => u64::from(u8::from_le_bytes(read(machine, gva, privilege, through)?)),
        2 => u64::from(u16::from_le_bytes(read(machine, gva, privilege, through)?)),
        4 => u64::from(u32::from_le_bytes(read(machine, gva, privilege, through)?)),
        _ => u64::from_le_bytes(read(machine, gva, privilege, through)?),
    })
}

/// Writes the low `bytes` (1, 2, 4 or 8) bytes of `value`.
pub(crate) fn write_sized(
    machine: &mut impl Machine,
    gva: u64,
    bytes: u8,
    value: u64,
    privilege: Privilege,
    through: Through,
) -> Result<(), Fault> {
    let all = value.to_le_bytes();
    let used = all.get(..usize::from(bytes)).unwrap_or(&all);
    write(machine, gva, used, privilege, through)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_the_canonical_edge() {
        assert!(check(0x7fff_ffff_fff8, 8, Through::Data).is_ok());
        assert_eq!(check(0x7fff_ffff_fff9, 8, Through::Data), Err(Fault::GENERAL_PROTECTION));
        assert_eq!(
            check(0x8000_0000_0000, 1, Through::Stack),
            Err(Fault::Exception(Vector::StackFault, 0))
        );
        assert!(check(u64::MAX, 1, Through::Data).is_ok());
        assert!(check(u64::MAX, 2, Through::Data).is_err());
    }
}
