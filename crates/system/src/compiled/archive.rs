//! Reading an archive: offsets and counts are checked once, at the start.

use core::fmt;

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{
    CHECKED_FROM, FORMAT, GpaRange, Guest, Header, Injection, Load, MAGIC, Patch, Program, Rewrite,
    Segment, Table, check, checksum,
};

/// Why an archive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveError {
    /// It is shorter than its header says, or than a header.
    Truncated,
    /// It does not start with [`MAGIC`].
    Magic,
    /// It has another format version.
    Format(u32),
    /// Its bytes are not the ones that were written.
    Checksum,
    /// A table or a run of bytes lies outside the archive, or is misaligned.
    OutOfBounds(&'static str),
    /// A field holds what no writer writes; which rule it breaks.
    Content(&'static str),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it is cut off"),
            Self::Magic => f.write_str("it does not start as an archive does"),
            Self::Format(found) => write!(f, "it has format {found}, this is format {FORMAT}"),
            Self::Checksum => f.write_str("its bytes were damaged"),
            Self::OutOfBounds(what) => write!(f, "its {what} lie outside of it"),
            Self::Content(rule) => write!(f, "it breaks a rule: {rule}"),
        }
    }
}

/// A checked archive.
#[derive(Clone, Copy)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    /// The program table.
    pub programs: &'a [Program],
    /// The segment table.
    pub segments: &'a [Segment],
    /// The guest table.
    pub guests: &'a [Guest],
    loads: &'a [Load],
    ranges: &'a [GpaRange],
    patches: &'a [Patch],
    rewrites: &'a [Rewrite],
    /// The injection table.
    pub injections: &'a [Injection],
}

impl<'a> Archive<'a> {
    /// Checks `bytes`, which may be longer than the archive, and gives access
    /// to its tables. `bytes` must be 8-aligned.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| ArchiveError::Truncated)?;
        if header.magic != MAGIC {
            return Err(ArchiveError::Magic);
        }
        if header.format != FORMAT {
            return Err(ArchiveError::Format(header.format));
        }
        let length = usize::try_from(header.length).map_err(|_| ArchiveError::Truncated)?;
        let bytes = bytes.get(..length).ok_or(ArchiveError::Truncated)?;
        let checked = bytes.get(CHECKED_FROM..).ok_or(ArchiveError::Truncated)?;
        if checksum(checked) != header.checksum {
            return Err(ArchiveError::Checksum);
        }
        let archive = Self {
            bytes,
            programs: table(bytes, header.programs, "programs")?,
            segments: table(bytes, header.segments, "segments")?,
            guests: table(bytes, header.guests, "guests")?,
            loads: table(bytes, header.loads, "loads")?,
            ranges: table(bytes, header.ranges, "ranges")?,
            patches: table(bytes, header.patches, "patches")?,
            rewrites: table(bytes, header.rewrites, "rewrites")?,
            injections: table(bytes, header.injections, "injections")?,
        };
        archive.check_references()?;
        check::contents(&archive)?;
        Ok(archive)
    }

    fn check_references(&self) -> Result<(), ArchiveError> {
        for program in self.programs {
            let run = Table { offset: program.first_segment, count: program.segments };
            slice(self.segments, run, "segments of a program")?;
        }
        for segment in self.segments {
            self.file(segment.offset, segment.file_bytes, "bytes of a segment")?;
        }
        for guest in self.guests {
            slice(self.ranges, guest.read_only, "read-only ranges of a guest")?;
            slice(self.patches, guest.patches, "patches of a guest")?;
            slice(self.rewrites, guest.rewrites, "rewrites of a guest")?;
            for load in slice(self.loads, guest.loads, "loads of a guest")? {
                self.file(load.offset, load.bytes, "bytes of a load")?;
            }
        }
        Ok(())
    }

    fn file(&self, offset: u32, length: u32, what: &'static str) -> Result<&'a [u8], ArchiveError> {
        let start = offset as usize;
        start
            .checked_add(length as usize)
            .and_then(|end| self.bytes.get(start..end))
            .ok_or(ArchiveError::OutOfBounds(what))
    }

    /// The segments of `program`.
    pub fn segments_of(&self, program: &Program) -> &'a [Segment] {
        let run = Table { offset: program.first_segment, count: program.segments };
        slice(self.segments, run, "").unwrap_or(&[])
    }

    /// The file bytes of `segment`.
    pub fn segment_bytes(&self, segment: &Segment) -> &'a [u8] {
        self.file(segment.offset, segment.file_bytes, "").unwrap_or(&[])
    }

    /// The loads of `guest`.
    pub fn loads_of(&self, guest: &Guest) -> &'a [Load] {
        slice(self.loads, guest.loads, "").unwrap_or(&[])
    }

    /// The bytes of `load`.
    pub fn load_bytes(&self, load: &Load) -> &'a [u8] {
        self.file(load.offset, load.bytes, "").unwrap_or(&[])
    }

    /// The read-only ranges of `guest`.
    pub fn read_only_of(&self, guest: &Guest) -> &'a [GpaRange] {
        slice(self.ranges, guest.read_only, "").unwrap_or(&[])
    }

    /// The patches of `guest`.
    pub fn patches_of(&self, guest: &Guest) -> &'a [Patch] {
        slice(self.patches, guest.patches, "").unwrap_or(&[])
    }

    /// The rewritten instructions of `guest`.
    pub fn rewrites_of(&self, guest: &Guest) -> &'a [Rewrite] {
        slice(self.rewrites, guest.rewrites, "").unwrap_or(&[])
    }
}

fn table<'a, T: FromBytes + Immutable + KnownLayout>(
    bytes: &'a [u8],
    table: Table,
    what: &'static str,
) -> Result<&'a [T], ArchiveError> {
    let refused = ArchiveError::OutOfBounds(what);
    let rest = bytes.get(table.offset as usize..).ok_or(refused)?;
    <[T]>::ref_from_prefix_with_elems(rest, table.count as usize)
        .map(|(entries, _)| entries)
        .map_err(|_| refused)
}

fn slice<'a, T>(all: &'a [T], run: Table, what: &'static str) -> Result<&'a [T], ArchiveError> {
    let start = run.offset as usize;
    start
        .checked_add(run.count as usize)
        .and_then(|end| all.get(start..end))
        .ok_or(ArchiveError::OutOfBounds(what))
}
