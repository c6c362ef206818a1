//! What the host knows of each guest frame.

use x86::Gfn;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a guest frame number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// RAM.
    Ram,
    /// RAM that the platform lets nobody write, like ROM: stores of the guest
    /// are reported, and A and D updates there have no effect.
    ReadOnly,
    /// Nothing the shadow may map: a device or a hole.
    NotRam,
}

/// The platform's view of guest-physical memory, by frame.
pub trait HostMap {
    /// What `gfn` stands for.
    fn kind(&self, gfn: Gfn) -> FrameKind;
}

const READ_ONLY: u8 = 1 << 0;

/// Record of one guest frame. All-zero is a fresh frame of plain RAM.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FrameRecord {
    /// First extra copy of the frame's cap, plus one; 0 if only the spare exists.
    pub(crate) extras: u32,
    /// Extra copies in that chain.
    pub(crate) extra_count: u8,
    /// Place in the chain of the next copy to evict.
    pub(crate) evict: u8,
    flags: u8,
    _reserved: u8,
}

/// The frames of guest RAM, `[0, len)`.
pub(crate) struct Frames<'a> {
    records: &'a mut [FrameRecord],
}

impl<'a> Frames<'a> {
    pub(crate) fn new(records: &'a mut [FrameRecord]) -> Self {
        records.fill(FrameRecord {
            extras: 0,
            extra_count: 0,
            evict: 0,
            flags: 0,
            _reserved: 0,
        });
        Self { records }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    #[inline]
    pub(crate) fn record(&self, frame: u32) -> &FrameRecord {
        &self.records[frame as usize]
    }

    pub(crate) fn record_mut(&mut self, frame: u32) -> &mut FrameRecord {
        &mut self.records[frame as usize]
    }

    /// Marks RAM frames `[first, first + count)` read-only; frames outside RAM
    /// are passed over.
    pub(crate) fn set_read_only(&mut self, first: Gfn, count: u64) {
        let end = first
            .get()
            .saturating_add(count)
            .min(self.records.len() as u64);
        let start = first.get().min(end);
        for record in &mut self.records[start as usize..end as usize] {
            record.flags |= READ_ONLY;
        }
    }
}

impl HostMap for Frames<'_> {
    #[inline]
    fn kind(&self, gfn: Gfn) -> FrameKind {
        // On 64-bit targets no bit is lost in the cast.
        match self.records.get(gfn.get() as usize) {
            None => FrameKind::NotRam,
            Some(record) if record.flags & READ_ONLY != 0 => FrameKind::ReadOnly,
            Some(_) => FrameKind::Ram,
        }
    }
}
