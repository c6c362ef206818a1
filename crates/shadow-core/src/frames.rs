//! What the host knows of each guest frame.

use core::cell::Cell;

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

    /// A walk has set A or D in that frame.
    fn stored(&self, _gfn: Gfn) {}
}

const READ_ONLY: u8 = 1 << 0;
/// The frame is a table with instances, and nothing maps it writable.
const SYNCED: u8 = 1 << 1;
/// The frame is a table with instances that the guest may write.
const OUT_OF_SYNC: u8 = 1 << 2;
/// How often the frame went out of sync since the CR3 load that `LOAD` names.
const UNSYNCS: u8 = 3 << 3;
const UNSYNC: u8 = 1 << 3;
/// Low bits of the number of that CR3 load.
const LOAD: u8 = 7 << 5;
const LOAD_SHIFT: u32 = 5;

/// How a frame is tracked as a guest table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// No instance was built from it.
    Plain,
    /// Instances were built from it, and no mapping of it is writable.
    Synced,
    /// Instances were built from it, and the guest may be writing it.
    OutOfSync,
}

/// Record of one guest frame. All-zero is a fresh frame of plain RAM.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FrameRecord {
    /// First extra copy of the frame's cap, plus one; 0 if only the spare exists.
    pub(crate) extras: u32,
    /// First instance built from the frame as a table; 0 if none.
    pub(crate) instances: u32,
    /// Extra copies in that chain.
    pub(crate) extra_count: u8,
    /// Place in the chain of the next copy to evict.
    pub(crate) evict: u8,
    flags: u8,
    /// Number of its out-of-sync page, while it is out of sync.
    slot: u8,
}

/// The frames of guest RAM, `[0, len)`.
pub(crate) struct Frames<'a> {
    records: &'a mut [FrameRecord],
    /// How many are out of sync.
    out_of_sync: u32,
    /// Log-dirty: a bit for each frame that is clean. Walks, which share the
    /// frames, clear bits.
    clean: &'a [Cell<u64>],
    /// Whether a log is kept.
    logged: bool,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(records: &'a mut [FrameRecord], clean: &'a mut [Cell<u64>]) -> Self {
        records.fill(FrameRecord {
            extras: 0,
            instances: 0,
            extra_count: 0,
            evict: 0,
            flags: 0,
            slot: 0,
        });
        Self { records, out_of_sync: 0, clean, logged: false }
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

    /// The number of a RAM frame.
    #[inline]
    pub(crate) fn number(&self, gfn: Gfn) -> Option<u32> {
        (gfn.get() < self.records.len() as u64).then_some(gfn.get() as u32)
    }

    /// Whether any frame is out of sync.
    #[inline]
    pub(crate) fn any_out_of_sync(&self) -> bool {
        self.out_of_sync != 0
    }

    #[inline]
    pub(crate) fn tracking(&self, frame: u32) -> Tracking {
        let flags = self.record(frame).flags;
        if flags & OUT_OF_SYNC != 0 {
            Tracking::OutOfSync
        } else if flags & SYNCED != 0 {
            Tracking::Synced
        } else {
            Tracking::Plain
        }
    }

    /// The number of the out-of-sync page of a frame that has one.
    #[inline]
    pub(crate) fn out_of_sync_page(&self, frame: u32) -> Option<u8> {
        let record = self.record(frame);
        (record.flags & OUT_OF_SYNC != 0).then_some(record.slot)
    }

    pub(crate) fn set_synced(&mut self, frame: u32) {
        self.set_tracking(frame, SYNCED);
    }

    pub(crate) fn set_plain(&mut self, frame: u32) {
        self.set_tracking(frame, 0);
    }

    pub(crate) fn set_out_of_sync(&mut self, frame: u32, page: u8) {
        self.set_tracking(frame, OUT_OF_SYNC);
        self.record_mut(frame).slot = page;
    }

    fn set_tracking(&mut self, frame: u32, bit: u8) {
        let record = self.record_mut(frame);
        let before = u32::from(record.flags & OUT_OF_SYNC != 0);
        record.flags = record.flags & !(SYNCED | OUT_OF_SYNC) | bit;
        self.out_of_sync = self.out_of_sync - before + u32::from(bit == OUT_OF_SYNC);
    }

    /// Counts that a frame went out of sync; `load` is the number of the last
    /// CR3 load.
    pub(crate) fn count_unsync(&mut self, frame: u32, load: u8) {
        let flags = self.record(frame).flags;
        let count = match self.unsyncs(frame, load) {
            0 => UNSYNC,
            3.. => UNSYNCS,
            _ => (flags & UNSYNCS) + UNSYNC,
        };
        self.record_mut(frame).flags = flags & !(UNSYNCS | LOAD) | count | load << LOAD_SHIFT;
    }

    /// How often a frame went out of sync since CR3 load number `load`, and
    /// since it became a table; at most 3.
    pub(crate) fn unsyncs(&self, frame: u32, load: u8) -> u8 {
        let flags = self.record(frame).flags;
        if flags & LOAD == load << LOAD_SHIFT { (flags & UNSYNCS) / UNSYNC } else { 0 }
    }

    pub(crate) fn forget_unsyncs(&mut self, frame: u32) {
        self.record_mut(frame).flags &= !UNSYNCS;
    }

    pub(crate) fn start_log(&mut self) {
        self.clean.iter().for_each(|word| word.set(0));
        self.logged = true;
    }

    pub(crate) fn stop_log(&mut self) {
        self.logged = false;
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.logged
    }

    /// Whether a log is kept in which the frame is clean.
    #[inline]
    pub(crate) fn is_clean(&self, frame: u32) -> bool {
        self.logged && self.clean[frame as usize / 64].get() & 1 << (frame % 64) != 0
    }

    pub(crate) fn set_clean(&mut self, frame: u32) {
        let word = &self.clean[frame as usize / 64];
        word.set(word.get() | 1 << (frame % 64));
    }

    /// Whether a mapping of the frame may be writable before anybody asks for it.
    #[inline]
    pub(crate) fn is_freely_writable(&self, frame: u32) -> bool {
        self.tracking(frame) == Tracking::Plain && !self.is_clean(frame)
    }

    /// Marks RAM frames `[first, first + count)` read-only; frames outside RAM
    /// are passed over.
    pub(crate) fn set_read_only(&mut self, first: Gfn, count: u64) {
        let end = first.get().saturating_add(count).min(self.records.len() as u64);
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

    #[inline]
    fn stored(&self, gfn: Gfn) {
        if !self.logged {
            return;
        }
        if let Some(word) = self.clean.get(gfn.get() as usize / 64) {
            word.set(word.get() & !(1 << (gfn.get() % 64)));
        }
    }
}

#[cfg(feature = "states")]
impl Frames<'_> {
    /// How often frames went out of sync counts only for who gives up tables.
    pub(crate) fn fingerprint(&self, unsyncs: bool, state: &mut impl core::hash::Hasher) {
        let counted = if unsyncs { u8::MAX } else { !(UNSYNCS | LOAD) };
        for word in self.clean.iter().filter(|_| self.logged) {
            state.write_u64(word.get());
        }
        for (frame, record) in (0..).zip(&*self.records) {
            state.write_u32(record.extras);
            state.write_u32(record.instances);
            state.write(&[record.extra_count, record.evict, record.flags & counted]);
            state.write_u8(self.out_of_sync_page(frame).unwrap_or(u8::MAX));
        }
    }

    pub(crate) fn copy_to<'b>(
        &self,
        records: &'b mut [FrameRecord],
        clean: &'b mut [Cell<u64>],
    ) -> Frames<'b> {
        records.copy_from_slice(self.records);
        clean.clone_from_slice(self.clean);
        Frames { records, clean, out_of_sync: self.out_of_sync, logged: self.logged }
    }
}
