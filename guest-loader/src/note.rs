//! Notes in `PT_NOTE` segments.

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::elf::{Elf, PT_NOTE};

/// One note. `descriptor` is `None` when the sizes in the header do not fit
/// into the segment; whether that matters depends on whose note it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Index of the program header of its segment.
    pub segment: usize,
    /// Name without the closing NUL.
    pub name: &'a [u8],
    /// Type, meaningful under the name only.
    pub kind: u32,
    /// Size that the header claims for the descriptor.
    pub descriptor_size: u32,
    /// Content.
    pub descriptor: Option<&'a [u8]>,
}

/// Every note of the executable whose name lies inside its segment.
///
/// Notes are 4-byte aligned. Reading of a segment stops at the first note that
/// does not fit, since there is no telling where the next one would start.
pub fn notes<'a>(elf: &Elf<'a>) -> impl Iterator<Item = Note<'a>> {
    elf.segments
        .iter()
        .filter(|segment| segment.kind == PT_NOTE)
        .flat_map(|segment| Notes { segment: segment.index, rest: segment.content })
}

struct Notes<'a> {
    segment: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for Notes<'a> {
    type Item = Note<'a>;

    fn next(&mut self) -> Option<Note<'a>> {
        let rest = std::mem::take(&mut self.rest);
        let (sizes, body) = <[U32; 3]>::read_from_prefix(rest).ok()?;
        let [name_size, descriptor_size, kind] = sizes.map(U32::get);
        let name = body.get(..name_size as usize)?;
        let behind_name = body.get(padded(name_size)?..).unwrap_or(&[]);
        let descriptor = behind_name.get(..descriptor_size as usize);
        if descriptor.is_some() {
            // The padding of the last descriptor may be missing.
            self.rest =
                padded(descriptor_size).and_then(|size| behind_name.get(size..)).unwrap_or(&[]);
        }
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        Some(Note { segment: self.segment, name, kind, descriptor_size, descriptor })
    }
}

fn padded(size: u32) -> Option<usize> {
    (size as usize).checked_next_multiple_of(4)
}
