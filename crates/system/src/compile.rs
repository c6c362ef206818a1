//! From a validated system to the bytes of its archive.
//!
//! Job: lays out the tables of [`crate::compiled`] and the bytes they point
//! to. Guests come placed ([`GuestPayload`]), processes come as
//! [`Program`]s; nothing is parsed here. Runs of equal bytes, such as the same
//! image in several guests, are stored once.

use zerocopy::{Immutable, IntoBytes};

use crate::budget::{self, Budget};
use crate::compiled::{
    self, Archive, CHECKED_FROM, FORMAT, GpaRange, Guest, Header, Injection, Load, MAGIC,
    MAX_READ_ONLY, Patch, PatchKind, Platform, Rewrite, Segment, Table, VcpuStart, checksum,
};
use crate::manifest::{self, Diagnostics, Problem, System};
use crate::program::{PAGE, Program};

/// Most bytes of an archive: seL4 5.0.0 keeps a slot of the root task's CNode
/// (65,536 slots) for each of its pages, and about 200 MiB fit.
pub const MAX_ARCHIVE: u64 = 200 << 20;

/// One run of guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLoad {
    /// Guest-physical address, a multiple of 4096.
    pub gpa: u64,
    /// Bytes; whole pages are best, but any length is stored as it is.
    pub bytes: Vec<u8>,
}

/// A guest whose image has been read and placed.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestPayload {
    /// Its platform.
    pub platform: Platform,
    /// Bytes of its RAM.
    pub memory_bytes: u64,
    /// What lies in RAM at its first instruction.
    pub loads: Vec<GuestLoad>,
    /// Page-aligned ranges that it may never write.
    pub read_only: Vec<GpaRange>,
    /// Words that the root task fills in: address, kind.
    pub patches: Vec<(u64, PatchKind)>,
    /// Instructions that are known by address, ascending.
    pub rewrites: Vec<Rewrite>,
    /// Where its first vCPU starts.
    pub start: VcpuStart,
    /// Where its other vCPUs wait; RDI is the address of the mailbox.
    pub secondary: Option<VcpuStart>,
}

/// The process images of a system, in the order of [`compiled::ProgramKind::ALL`].
pub type Programs = [Program; compiled::ProgramKind::ALL.len()];

/// The bytes of an archive, 8-aligned as [`compiled::Archive::read`] wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveImage(Vec<u64>);

impl ArchiveImage {
    /// The bytes; whole pages.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The bytes, to damage them.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }
}

/// Compiles `system`, whose guests' images are `payloads` in the same order.
///
/// # Errors
/// [`Problem::ComposeArchiveTooLarge`], [`Problem::ComposeReadOnly`],
/// [`Problem::SeveralVcpus`] and [`Problem::MachineTooSmall`], with the guest or key that they are about.
///
/// # Panics
/// If there are not as many payloads as guests, or one breaks a rule of the
/// archive: mistakes of the caller.
pub fn compile(
    system: &System,
    programs: &Programs,
    payloads: &[GuestPayload],
) -> Result<ArchiveImage, Diagnostics> {
    assert_eq!(system.guests.len(), payloads.len(), "one payload per guest");
    let ranges = |payload: &GuestPayload| payload.read_only.len();
    if let Some(guest) = payloads.iter().position(|payload| ranges(payload) > MAX_READ_ONLY) {
        let count = ranges(&payloads[guest]);
        let problem = Problem::ComposeReadOnly { count, limit: MAX_READ_ONLY };
        return Err(system.refuse_guest(guest, problem));
    }
    let waits = |(guest, payload): (&manifest::Guest, &GuestPayload)| {
        guest.vcpus > 1 && payload.secondary.is_none()
    };
    if let Some(guest) = system.guests.iter().zip(payloads).position(waits) {
        let vcpus = system.guests[guest].vcpus.into();
        return Err(system.refuse_guest(guest, Problem::SeveralVcpus { vcpus }));
    }
    let tables = Tables::of(system, programs, payloads);
    let bytes = tables.size();
    if bytes > MAX_ARCHIVE {
        let problem = Problem::ComposeArchiveTooLarge { bytes, limit: MAX_ARCHIVE };
        return Err(system.refuse_guest(biggest(payloads), problem));
    }
    Budget::of_compiled(system, programs, payloads, bytes).check(system)?;
    let image = tables.write();
    if let Err(error) = Archive::read(image.as_bytes()) {
        panic!("the archive that was compiled cannot be read: {error}");
    }
    Ok(image)
}

/// Index of the guest with the most bytes in the archive.
fn biggest(payloads: &[GuestPayload]) -> usize {
    let bytes =
        |payload: &GuestPayload| payload.loads.iter().map(|load| load.bytes.len()).sum::<usize>();
    (0..payloads.len()).max_by_key(|&index| bytes(&payloads[index])).unwrap_or(0)
}

/// Tables under construction; offsets of bytes count from the first run.
#[derive(Default)]
struct Tables<'a> {
    programs: Vec<compiled::Program>,
    segments: Vec<Segment>,
    guests: Vec<Guest>,
    loads: Vec<Load>,
    ranges: Vec<GpaRange>,
    patches: Vec<Patch>,
    rewrites: Vec<Rewrite>,
    injections: Vec<Injection>,
    blobs: Blobs<'a>,
}

impl<'a> Tables<'a> {
    fn of(system: &System, programs: &'a Programs, payloads: &'a [GuestPayload]) -> Self {
        let mut new = Self::default();
        for program in programs {
            new.add_program(program);
        }
        for (guest, payload) in system.guests.iter().zip(payloads) {
            new.add_guest(guest, payload);
        }
        for injection in &system.injections {
            new.injections.push(Injection {
                guest: injection.guest as u32,
                program: injection.process as u32,
                after_faults: injection.after_faults,
            });
        }
        new
    }

    fn add_program(&mut self, program: &'a Program) {
        self.programs.push(compiled::Program {
            entry: program.entry,
            first_segment: self.segments.len() as u32,
            segments: program.segments.len() as u32,
            stack_pages: program.stack_pages,
            reserved: 0,
        });
        for segment in &program.segments {
            self.segments.push(Segment {
                address: segment.address,
                memory_bytes: segment.memory_bytes,
                offset: self.blobs.add(&segment.bytes),
                file_bytes: segment.bytes.len() as u32,
                writable: u32::from(segment.writable),
                reserved: 0,
            });
        }
    }

    fn add_guest(&mut self, guest: &manifest::Guest, payload: &'a GuestPayload) {
        let pools = guest.pools(payload.memory_bytes);
        let run =
            |offset: usize, count: usize| Table { offset: offset as u32, count: count as u32 };
        self.guests.push(Guest {
            name: guest.compiled_name(),
            platform: payload.platform as u32,
            vcpus: guest.vcpus,
            priority: guest.priority,
            trace: guest.shadow.trace,
            memory_bytes: payload.memory_bytes,
            metadata_bytes: budget::metadata_bytes(&pools),
            pools,
            audit: guest.shadow.audit,
            budget: guest.shadow.budget,
            loads: run(self.loads.len(), payload.loads.len()),
            read_only: run(self.ranges.len(), payload.read_only.len()),
            patches: run(self.patches.len(), payload.patches.len()),
            rewrites: run(self.rewrites.len(), payload.rewrites.len()),
            start: payload.start,
            secondary: payload.secondary.unwrap_or_default(),
        });
        for load in &payload.loads {
            let offset = self.blobs.add(&load.bytes);
            self.loads.push(Load { gpa: load.gpa, offset, bytes: load.bytes.len() as u32 });
        }
        self.ranges.extend_from_slice(&payload.read_only);
        self.rewrites.extend_from_slice(&payload.rewrites);
        let patch = |&(gpa, kind): &(u64, PatchKind)| Patch { gpa, kind: kind as u32, reserved: 0 };
        self.patches.extend(payload.patches.iter().map(patch));
    }

    /// Bytes in front of the runs, whole pages.
    fn tables_bytes(&self) -> u64 {
        let bytes = size_of::<Header>()
            + size_of_val(&*self.programs)
            + size_of_val(&*self.segments)
            + size_of_val(&*self.guests)
            + size_of_val(&*self.loads)
            + size_of_val(&*self.ranges)
            + size_of_val(&*self.patches)
            + size_of_val(&*self.rewrites)
            + size_of_val(&*self.injections);
        (bytes as u64).next_multiple_of(PAGE)
    }

    /// Bytes of the archive.
    fn size(&self) -> u64 {
        self.tables_bytes() + self.blobs.end
    }

    fn write(mut self) -> ArchiveImage {
        let (start, length) = (self.tables_bytes(), self.size());
        for segment in &mut self.segments {
            segment.offset += start as u32;
        }
        for load in &mut self.loads {
            load.offset += start as u32;
        }
        let mut words = vec![0_u64; length as usize / 8];
        let bytes = words.as_mut_bytes();
        let mut at = size_of::<Header>();
        let mut header = Header {
            magic: MAGIC,
            format: FORMAT,
            checksum: 0,
            length,
            programs: put(bytes, &mut at, &self.programs),
            segments: put(bytes, &mut at, &self.segments),
            guests: put(bytes, &mut at, &self.guests),
            loads: put(bytes, &mut at, &self.loads),
            ranges: put(bytes, &mut at, &self.ranges),
            patches: put(bytes, &mut at, &self.patches),
            rewrites: put(bytes, &mut at, &self.rewrites),
            injections: put(bytes, &mut at, &self.injections),
        };
        for (offset, run) in &self.blobs.runs {
            let offset = (start + offset) as usize;
            bytes[offset..offset + run.len()].copy_from_slice(run);
        }
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        header.checksum = checksum(&bytes[CHECKED_FROM..]);
        bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        ArchiveImage(words)
    }
}

/// Writes `entries` at `*at` and moves it behind them.
fn put<T: IntoBytes + Immutable>(bytes: &mut [u8], at: &mut usize, entries: &[T]) -> Table {
    let table = Table { offset: *at as u32, count: entries.len() as u32 };
    let source = entries.as_bytes();
    bytes[*at..*at + source.len()].copy_from_slice(source);
    *at += source.len();
    table
}

/// Runs of file bytes, each from a page boundary on, equal ones once.
#[derive(Default)]
struct Blobs<'a> {
    runs: Vec<(u64, &'a [u8])>,
    end: u64,
}

impl<'a> Blobs<'a> {
    /// Offset of `run` from the first run. Past 4 GiB it is meaningless, but
    /// such an archive is refused for its size before it is written.
    fn add(&mut self, run: &'a [u8]) -> u32 {
        let known = self.runs.iter().find(|(_, known)| *known == run);
        let offset = known.map_or(self.end, |(offset, _)| *offset);
        if known.is_none() {
            self.runs.push((offset, run));
            self.end += (run.len() as u64).next_multiple_of(PAGE);
        }
        u32::try_from(offset).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
