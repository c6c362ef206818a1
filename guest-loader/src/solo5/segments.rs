//! Loadable segments of a Solo5 image: the rules of `tenders/common/elf.c`.

use x86::{Gpa, PAGE_SIZE};

use super::MINIMUM_BASE;
use crate::elf::{Elf, PF_W, Segment};
use crate::{GuestPages, Problem};

/// Where an image ended up.
pub struct LoadedImage {
    /// Address behind its last page.
    pub end: u64,
    /// Pages of segments without write permission, ascending.
    pub read_only: Vec<(Gpa, Gpa)>,
}

/// Copies the image's segments into `pages`.
///
/// Segments without a byte in memory are skipped: an empty `.tdata` of Solo5
/// v0.8 and later is one at address 0.
///
/// # Errors
/// The first rule broken.
pub fn load(elf: &Elf<'_>, pages: &mut GuestPages) -> Result<LoadedImage, Problem> {
    if elf.entry < MINIMUM_BASE || elf.entry >= pages.size() {
        return Err(Problem::EntryOutside { entry: elf.entry });
    }
    let mut image = LoadedImage { end: 0, read_only: Vec::new() };
    let mut previous: Option<&Segment<'_>> = None;
    for segment in elf.loads() {
        let (start, end) = place(segment, previous, image.end, pages.size())?;
        pages.write(Gpa::new(segment.virtual_address), segment.content)?;
        if segment.flags & PF_W == 0 {
            image.read_only.push((Gpa::new(start), Gpa::new(end)));
        }
        image.end = end;
        previous = Some(segment);
    }
    Ok(image)
}

/// The page range of `segment`, after every check.
fn place(
    segment: &Segment<'_>,
    previous: Option<&Segment<'_>>,
    previous_end: u64,
    memory: u64,
) -> Result<(u64, u64), Problem> {
    let (index, address, align) = (segment.index, segment.virtual_address, segment.align);
    if !align.is_power_of_two() {
        return Err(Problem::SegmentAlignment { segment: index, align });
    }
    if address >= 1 << 47 {
        return Err(Problem::UpperHalf { segment: index, address });
    }
    let start = address & !(align - 1);
    if start < MINIMUM_BASE {
        return Err(Problem::SegmentTooLow {
            segment: index,
            address: start,
            minimum: MINIMUM_BASE,
        });
    }
    if let Some(previous) = previous {
        if address < previous.virtual_address {
            let previous = previous.virtual_address;
            return Err(Problem::SegmentsUnordered { segment: index, address, previous });
        }
        if start < previous_end {
            return Err(Problem::SegmentsOverlap {
                first: previous.index,
                second: index,
                address: start,
            });
        }
    }
    let end = address
        .checked_add(segment.memory_size)
        .and_then(|end| end.checked_next_multiple_of(align));
    let end = end.filter(|&end| end <= memory).ok_or(Problem::SegmentOutsideMemory {
        segment: index,
        start: address,
        end: address.saturating_add(segment.memory_size),
        memory,
    })?;
    if !start.is_multiple_of(PAGE_SIZE) || !end.is_multiple_of(PAGE_SIZE) {
        return Err(Problem::SegmentNotPageAligned { segment: index, start, end });
    }
    if segment.writable_and_executable() {
        return Err(Problem::WritableAndExecutable { segment: index, start, end });
    }
    Ok((start, end))
}
