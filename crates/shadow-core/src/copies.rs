//! Copies of frame caps: owned by frames, recycled, each mapped at most once.
//!
//! A copy *claims* the place (space, page) where it was last mapped and not
//! yet unmapped. The claim is *live* if a leaf record names the copy, and
//! *stale* if a table above was unlinked since. Unmapping a stale copy empties
//! whatever entry at its place maps the same frame by then, so the rule that
//! everything else rests on is S2: **at most one copy of a frame claims a
//! place.** [`Copies::choose`] keeps it: the copy that claims the wanted place
//! is always taken first.

use x86::{Gva, Level};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::frames::{FrameRecord, Frames};
use crate::mappings::{CopyId, SpaceId};
use crate::tables::Tables;

/// Copies of one frame's cap at most, the spare included: the length of the
/// longest search on a fault.
pub const MAX_COPIES_PER_FRAME: u8 = 64;

/// Copies a frame may always have, if need be by taking live ones from other
/// frames: one instruction touches at most six pages (two each for its code,
/// its source and its destination), and all may be the same frame.
pub(crate) const GUARANTEED_COPIES: u8 = 6;

/// Extra copies looked at for one that is not live, per fault.
const CLOCK_STEPS: u32 = 16;

/// A place (space, page) in one word; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Claim(u64);

impl Claim {
    pub(crate) const NONE: Self = Self(0);
    const VALID: u64 = 1 << 63;
    const PAGE_BITS: u32 = 36;

    #[inline]
    pub(crate) const fn new(space: SpaceId, gva: Gva) -> Self {
        let page = (gva.get() >> 12) & ((1 << Self::PAGE_BITS) - 1);
        Self(Self::VALID | (space.0 as u64) << Self::PAGE_BITS | page)
    }

    pub(crate) const fn space(self) -> SpaceId {
        SpaceId((self.0 >> Self::PAGE_BITS) as u16)
    }

    /// The page: canonical, in the lower half.
    pub(crate) const fn gva(self) -> Gva {
        Gva::new((self.0 & ((1 << Self::PAGE_BITS) - 1)) << 12)
    }
}

/// Record of one copy. All-zero is a copy that exists and is unmapped, of
/// frame 0, in no chain.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CopyRecord {
    claim: u64,
    /// Frame it is a copy of.
    frame: u32,
    /// Next extra copy of the frame, or on the free list; plus one.
    next: u32,
    /// Level-1 table whose leaf names it, while live.
    table: u16,
    /// The slot holds no capability.
    empty: u8,
    _reserved: [u8; 5],
}

const BLANK: CopyRecord =
    CopyRecord { claim: 0, frame: 0, next: 0, table: 0, empty: 0, _reserved: [0; 5] };

/// Which copy to map at a place, and what must happen first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Claims the place already: remap it there.
    Claiming(CopyId),
    /// Unmapped.
    Unclaimed(CopyId),
    /// Claims another place where it is not live: move it here.
    Stale(CopyId),
    /// The slot of the spare is empty: make the copy first.
    Missing(CopyId),
    /// All copies are live elsewhere.
    AllLive,
}

/// All copies: spares by frame number, then the pool of extras.
pub(crate) struct Copies<'a> {
    records: &'a mut [CopyRecord],
    frames: u32,
    /// Head of the list of extra slots without a cap, plus one.
    free: u32,
    /// Next extra slot that the search for one not live looks at, counted
    /// from the first extra.
    scan: u32,
    /// Next extra slot to take though it is live: first in, first out, so that
    /// the copies one instruction needs are not taken from each other.
    hand: u32,
}

impl<'a> Copies<'a> {
    /// Takes one record per frame and per extra copy. Spares exist; extras do not.
    pub(crate) fn new(records: &'a mut [CopyRecord], frames: u32) -> Self {
        records.fill(BLANK);
        for (frame, record) in (0..frames).zip(records.iter_mut()) {
            record.frame = frame;
        }
        let mut free = 0;
        for index in (frames..records.len() as u32).rev() {
            records[index as usize] = CopyRecord { next: free, empty: 1, ..BLANK };
            free = index + 1;
        }
        Self { records, frames, free, scan: 0, hand: 0 }
    }

    #[inline]
    fn record(&self, copy: CopyId) -> &CopyRecord {
        &self.records[copy.index()]
    }

    fn record_mut(&mut self, copy: CopyId) -> &mut CopyRecord {
        &mut self.records[copy.index()]
    }

    pub(crate) fn count(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_spare(&self, copy: CopyId) -> bool {
        copy.0 < self.frames
    }

    #[inline]
    pub(crate) fn frame(&self, copy: CopyId) -> u32 {
        self.record(copy).frame
    }

    #[inline]
    pub(crate) fn claim(&self, copy: CopyId) -> Claim {
        Claim(self.record(copy).claim)
    }

    pub(crate) fn is_empty(&self, copy: CopyId) -> bool {
        self.record(copy).empty != 0
    }

    pub(crate) fn table(&self, copy: CopyId) -> u16 {
        self.record(copy).table
    }

    /// Records that the copy is mapped at `claim` by a leaf of `table`.
    #[inline]
    pub(crate) fn set_live(&mut self, copy: CopyId, claim: Claim, table: u16) {
        let record = self.record_mut(copy);
        record.claim = claim.0;
        record.table = table;
    }

    /// Records that the copy is unmapped.
    pub(crate) fn set_unclaimed(&mut self, copy: CopyId) {
        self.record_mut(copy).claim = Claim::NONE.0;
    }

    /// Records that the copy's slot holds a cap, or does not.
    pub(crate) fn set_empty(&mut self, copy: CopyId, empty: bool) {
        let record = self.record_mut(copy);
        record.empty = u8::from(empty);
        record.claim = Claim::NONE.0;
    }

    /// The slot of the leaf that names the copy, if it is live.
    #[inline]
    pub(crate) fn live_slot(&self, tables: &Tables<'_>, copy: CopyId) -> Option<usize> {
        let record = self.record(copy);
        if record.claim == 0 {
            return None;
        }
        let slot = Level::L1.index(Claim(record.claim).gva());
        let leaf = tables.leaf(record.table, slot)?;
        (leaf.copy() == copy).then_some(slot)
    }

    /// The copies of a frame: the spare, then the chain of extras.
    pub(crate) fn of_frame(&self, frames: &Frames<'_>, frame: u32) -> impl Iterator<Item = CopyId> {
        let extras = core::iter::successors(self.first_extra(frames, frame), |&copy| {
            self.record(copy).next.checked_sub(1).map(CopyId)
        });
        core::iter::once(CopyId(frame)).chain(extras.take(usize::from(MAX_COPIES_PER_FRAME)))
    }

    /// The first extra copy of a frame.
    pub(crate) fn first_extra(&self, frames: &Frames<'_>, frame: u32) -> Option<CopyId> {
        frames.record(frame).extras.checked_sub(1).map(CopyId)
    }

    /// Chooses the copy of `frame` to map at `place`.
    #[inline(always)] // the fault path and its neighbours
    pub(crate) fn choose(
        &self,
        frames: &Frames<'_>,
        tables: &Tables<'_>,
        frame: u32,
        place: Claim,
    ) -> Choice {
        let spare = CopyId(frame);
        let record = self.record(spare);
        // The common cases: a spare that maps nothing, or that maps here already,
        // alone or with one extra. (An extra copy in a chain is never empty.)
        if record.empty == 0 {
            if record.claim == place.0 {
                return Choice::Claiming(spare);
            }
            match *frames.record(frame) {
                FrameRecord { extra_count: 0, .. } if record.claim == 0 => {
                    return Choice::Unclaimed(spare);
                }
                FrameRecord { extra_count: 1, extras: extras @ 1.., .. } => {
                    let extra = CopyId(extras - 1);
                    let other = self.record(extra).claim;
                    if other == place.0 {
                        return Choice::Claiming(extra);
                    }
                    if record.claim == 0 {
                        return Choice::Unclaimed(spare);
                    }
                    if other == 0 {
                        return Choice::Unclaimed(extra);
                    }
                    // The spare has been at one place longest, most of the time.
                    return if self.live_slot(tables, extra).is_none() {
                        Choice::Stale(extra)
                    } else if self.live_slot(tables, spare).is_none() {
                        Choice::Stale(spare)
                    } else {
                        Choice::AllLive
                    };
                }
                _ => {}
            }
        }
        self.search(frames, tables, frame, place)
    }

    fn search(&self, frames: &Frames<'_>, tables: &Tables<'_>, frame: u32, place: Claim) -> Choice {
        let mut best = Choice::AllLive;
        for copy in self.of_frame(frames, frame) {
            let record = self.record(copy);
            if record.empty != 0 {
                if matches!(best, Choice::AllLive) {
                    best = Choice::Missing(copy);
                }
            } else if record.claim == place.0 {
                return Choice::Claiming(copy);
            } else if record.claim == 0 {
                best = Choice::Unclaimed(copy);
            } else if matches!(best, Choice::AllLive | Choice::Missing(_))
                && self.live_slot(tables, copy).is_none()
            {
                best = Choice::Stale(copy);
            }
        }
        best
    }

    /// Whether there is an extra slot without a cap.
    pub(crate) fn has_free(&self) -> bool {
        self.free != 0
    }

    /// Takes an extra slot without a cap off the free list.
    pub(crate) fn take_free(&mut self) -> Option<CopyId> {
        let copy = CopyId(self.free.checked_sub(1)?);
        self.free = self.record(copy).next;
        Some(copy)
    }

    /// Puts an extra slot without a cap, of no chain, on the free list.
    pub(crate) fn give_free(&mut self, copy: CopyId) {
        let next = self.free;
        *self.record_mut(copy) = CopyRecord { next, empty: 1, ..BLANK };
        self.free = copy.0 + 1;
    }

    /// Adds an extra slot, of no chain, to a frame's chain.
    pub(crate) fn add_to_chain(&mut self, frames: &mut Frames<'_>, frame: u32, copy: CopyId) {
        let owner = frames.record_mut(frame);
        *self.record_mut(copy) = CopyRecord { frame, next: owner.extras, ..BLANK };
        owner.extras = copy.0 + 1;
        owner.extra_count += 1;
    }

    /// Takes an extra slot out of its frame's chain.
    pub(crate) fn remove_from_chain(&mut self, frames: &mut Frames<'_>, copy: CopyId) {
        let frame = self.frame(copy);
        let next = self.record(copy).next;
        let before = self
            .of_frame(frames, frame)
            .find(|&other| !self.is_spare(other) && self.record(other).next == copy.0 + 1);
        let owner = frames.record_mut(frame);
        owner.extra_count -= 1;
        match before {
            Some(before) => self.record_mut(before).next = next,
            None => owner.extras = next,
        }
    }

    /// Picks an extra copy of another frame to take: the next that is not
    /// live among the following few, or with `even_live` the very next.
    pub(crate) fn pick_victim(
        &mut self,
        tables: &Tables<'_>,
        frame: u32,
        even_live: bool,
    ) -> Option<CopyId> {
        let extras = self.records.len() as u32 - self.frames;
        for _ in 0..CLOCK_STEPS.min(extras) {
            let copy = advance(&mut self.scan, self.frames, extras);
            if self.frame(copy) != frame && self.live_slot(tables, copy).is_none() {
                return Some(copy);
            }
        }
        if !even_live {
            return None;
        }
        // Fewer than that belong to `frame`, or it would have its guaranteed number.
        for _ in 0..u32::from(GUARANTEED_COPIES).min(extras) {
            let copy = advance(&mut self.hand, self.frames, extras);
            if self.frame(copy) != frame {
                return Some(copy);
            }
        }
        None
    }

    /// The copy of `frame` whose turn it is to be taken from its place.
    pub(crate) fn next_eviction(&mut self, frames: &mut Frames<'_>, frame: u32) -> CopyId {
        let owner = frames.record_mut(frame);
        let length = owner.extra_count + 1;
        let turn = owner.evict % length;
        owner.evict = (turn + 1) % length;
        self.of_frame(frames, frame).nth(usize::from(turn)).unwrap_or(CopyId(frame))
    }

    /// Extra slots on the free list, for the audit.
    pub(crate) fn free_list(&self) -> impl Iterator<Item = CopyId> {
        let first = self.free.checked_sub(1).map(CopyId);
        core::iter::successors(first, |&copy| self.record(copy).next.checked_sub(1).map(CopyId))
            .take(self.records.len() + 1)
    }
}

/// The extra slot under a hand, which moves on.
fn advance(hand: &mut u32, frames: u32, extras: u32) -> CopyId {
    let copy = CopyId(frames + *hand);
    *hand = if *hand + 1 < extras { *hand + 1 } else { 0 };
    copy
}

#[cfg(feature = "states")]
impl Copies<'_> {
    pub(crate) fn fingerprint(&self, tables: &Tables<'_>, state: &mut impl core::hash::Hasher) {
        for (copy, record) in (0..).map(CopyId).zip(&*self.records) {
            let live = self.live_slot(tables, copy).is_some();
            state.write_u64(record.claim);
            state.write_u32(record.frame);
            state.write_u32(record.next);
            state.write_u16(if live { record.table } else { u16::MAX });
            state.write_u8(record.empty);
        }
        core::hash::Hash::hash(&[self.free, self.scan, self.hand], state);
    }

    pub(crate) fn copy_to<'b>(&self, records: &'b mut [CopyRecord]) -> Copies<'b> {
        records.copy_from_slice(self.records);
        Copies { records, frames: self.frames, free: self.free, scan: self.scan, hand: self.hand }
    }
}
