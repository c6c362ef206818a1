//! Loadable segments of a pc64 image.
//!
//! Segments go to their physical addresses, as under `qemu -kernel`. They may
//! come in any order, need no alignment, and may be writable and executable:
//! protection is the guest's own business.

use x86::Gpa;

use super::MINIMUM_BASE;
use crate::elf::{Elf, Segment};
use crate::{GuestPages, Problem};

/// End of the lower canonical half.
const LOWER_HALF: u64 = 1 << 47;

/// Copies the image's segments into `pages`, all below `usable_end`, and gives
/// the address behind the last.
///
/// # Errors
/// The first rule broken.
pub fn load(elf: &Elf<'_>, pages: &mut GuestPages, usable_end: u64) -> Result<u64, Problem> {
    let mut segments: Vec<_> = elf.loads().collect();
    segments.sort_by_key(|segment| segment.physical_address);
    let mut previous: Option<(&Segment<'_>, u64)> = None;
    for segment in segments {
        let end = check(segment, usable_end)?;
        if let Some((first, first_end)) = previous
            && segment.physical_address < first_end
        {
            let (first, second) = (first.index, segment.index);
            let address = segment.physical_address;
            return Err(Problem::SegmentsOverlap { first, second, address });
        }
        pages.write(Gpa::new(segment.physical_address), segment.content)?;
        previous = Some((segment, end));
    }
    // The entry point is used before the guest has tables of its own, hence
    // as a physical address.
    let entered = |segment: &Segment<'_>| {
        elf.entry.checked_sub(segment.physical_address).is_some_and(|at| at < segment.memory_size)
    };
    if !elf.loads().any(entered) {
        return Err(Problem::EntryOutside { entry: elf.entry });
    }
    Ok(previous.map_or(MINIMUM_BASE, |(_, end)| end))
}

/// The physical address behind the segment, after every check of it alone.
fn check(segment: &Segment<'_>, usable_end: u64) -> Result<u64, Problem> {
    let (index, start) = (segment.index, segment.physical_address);
    let virtual_end = segment.virtual_address.saturating_add(segment.memory_size);
    if virtual_end > LOWER_HALF {
        return Err(Problem::UpperHalf { segment: index, address: segment.virtual_address });
    }
    if start < MINIMUM_BASE {
        return Err(Problem::SegmentTooLow {
            segment: index,
            address: start,
            minimum: MINIMUM_BASE,
        });
    }
    let end = start.saturating_add(segment.memory_size);
    if end > usable_end {
        return Err(Problem::SegmentOutsideMemory {
            segment: index,
            start,
            end,
            memory: usable_end,
        });
    }
    Ok(end)
}
