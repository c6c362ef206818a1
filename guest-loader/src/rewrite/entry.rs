//! Physical and linked addresses of an image's code.

use system::compiled::Platform;

use crate::elf::Elf;

/// The virtual address of the first instruction. A pc64 guest is entered at a
/// physical address, before it has tables of its own.
pub fn address(elf: &Elf<'_>, platform: Platform) -> u64 {
    if platform == Platform::Solo5Hvt {
        return elf.entry;
    }
    elf.loads()
        .find_map(|segment| {
            let offset = elf.entry.checked_sub(segment.physical_address)?;
            (offset < segment.memory_size).then(|| segment.virtual_address + offset)
        })
        .unwrap_or(elf.entry)
}

/// Where the instruction linked at `address` lies in physical memory, if that
/// is another address, at which the guest may run it before it changes tables.
pub fn alias(elf: &Elf<'_>, platform: Platform, address: u64) -> Option<u64> {
    if platform == Platform::Solo5Hvt {
        return None;
    }
    elf.loads().find_map(|segment| {
        let offset = address.checked_sub(segment.virtual_address)?;
        let physical = segment.physical_address + offset;
        (offset < segment.memory_size && physical != address).then_some(physical)
    })
}
