//! Out-of-sync pages: guest tables that the guest may write at the moment.
//!
//! Each vCPU has a few slots. A slot names a frame, holds a snapshot of it as
//! it was when it went out of sync, a *diverged* bit for every entry of which
//! a shadow used another value since (R3), and fixups: the places where the
//! frame is mapped writable. A frame lives in its home slot (frame number
//! modulo slots) or in the next one. A slot counts only while its frame says
//! that it is out of sync in that very slot, so that demotion needs no search.
//!
//! After Xen's arrays of 2008; snapshots lie in lent memory, and slots refer to
//! them by number, so that punting a page moves a few words.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::context::{MAX_VCPUS, VcpuId};
use crate::copies::Claim;
use crate::frames::Frames;
use crate::tables::{ENTRIES, EntrySet};

/// Out-of-sync pages of one vCPU, unless chosen otherwise.
pub const OOS_PAGES: usize = 3;
/// Writable mappings of one out-of-sync page, unless chosen otherwise.
pub const OOS_FIXUPS: usize = 2;

/// Memory of one out-of-sync page.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SnapshotRecord {
    /// The table as it was when it went out of sync; never written until then (R3).
    pub(crate) entries: [u64; ENTRIES],
    /// Entries of which some shadow used a value that is not the snapshot's.
    pub(crate) diverged: EntrySet,
}

/// One slot.
#[derive(Clone, Copy, Debug)]
struct Slot<const FIXUPS: usize> {
    /// The frame; it may have left since.
    frame: u32,
    /// Its snapshot, which no other slot has.
    snapshot: u16,
    /// The fixup to be replaced next.
    next: u8,
    fixups: [Claim; FIXUPS],
}

/// Where a new page goes, and who must leave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The home slot is free, or can be freed by punting.
    Ready,
    /// This frame must be resynced first.
    Evict(u32),
}

/// The slots of all vCPUs.
pub(crate) struct OutOfSync<'a, const PAGES: usize, const FIXUPS: usize> {
    snapshots: &'a mut [SnapshotRecord],
    slots: [[Slot<FIXUPS>; PAGES]; MAX_VCPUS],
    /// Groups in use: one for each vCPU, or shared if little memory was lent.
    groups: usize,
}

impl<'a, const PAGES: usize, const FIXUPS: usize> OutOfSync<'a, PAGES, FIXUPS> {
    /// An instruction writes at most two pages, both of which may be tables of
    /// one home, or one table under two addresses.
    const FLOORS: () = assert!(PAGES >= 2 && FIXUPS >= 2 && PAGES * MAX_VCPUS <= 256);

    /// # Panics
    /// If fewer than `PAGES` snapshots were lent.
    pub(crate) fn new(snapshots: &'a mut [SnapshotRecord]) -> Self {
        let () = Self::FLOORS;
        let groups = (snapshots.len() / PAGES).min(MAX_VCPUS);
        assert!(groups > 0, "memory for the pages of one vCPU");
        let mut slots = [[Slot { frame: 0, snapshot: 0, next: 0, fixups: [Claim::NONE; FIXUPS] };
            PAGES]; MAX_VCPUS];
        for (number, slot) in slots.as_flattened_mut().iter_mut().enumerate() {
            slot.snapshot = number as u16;
        }
        Self { snapshots, slots, groups }
    }

    const fn group(&self, vcpu: VcpuId) -> usize {
        vcpu.index() % self.groups
    }

    fn slot(&self, page: u8) -> &Slot<FIXUPS> {
        &self.slots.as_flattened()[usize::from(page)]
    }

    fn slot_mut(&mut self, page: u8) -> &mut Slot<FIXUPS> {
        &mut self.slots.as_flattened_mut()[usize::from(page)]
    }

    const fn number(group: usize, slot: usize) -> u8 {
        (group * PAGES + slot) as u8
    }

    /// The frame in a slot, if it is still out of sync there.
    pub(crate) fn occupant(&self, frames: &Frames<'_>, page: u8) -> Option<u32> {
        let frame = self.slot(page).frame;
        (frames.out_of_sync_page(frame) == Some(page)).then_some(frame)
    }

    /// Numbers of all slots that vCPUs use.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u8> + use<PAGES, FIXUPS> {
        0..(self.groups * PAGES) as u8
    }

    /// Numbers of the slots that `vcpu` uses.
    pub(crate) fn pages_of(&self, vcpu: VcpuId) -> core::ops::Range<u8> {
        let group = self.group(vcpu);
        Self::number(group, 0)..Self::number(group, PAGES)
    }

    /// What has to happen before `frame` can go out of sync for `vcpu`.
    pub(crate) fn place(&self, frames: &Frames<'_>, vcpu: VcpuId, frame: u32) -> Place {
        let group = self.group(vcpu);
        let (home, alternate) = Self::homes(frame);
        match self.occupant(frames, Self::number(group, home)) {
            None => Place::Ready,
            Some(other) if Self::homes(other).0 != home => Place::Evict(other),
            Some(_) => match self.occupant(frames, Self::number(group, alternate)) {
                None => Place::Ready,
                Some(other) => Place::Evict(other),
            },
        }
    }

    const fn homes(frame: u32) -> (usize, usize) {
        let home = frame as usize % PAGES;
        (home, (home + 1) % PAGES)
    }

    /// Gives `frame` its home slot, punting the page that is there to the next
    /// one; [`Self::place`] has said `Ready`. Fixups and diverged bits are empty.
    pub(crate) fn insert(
        &mut self,
        frames: &mut Frames<'_>,
        vcpu: VcpuId,
        frame: u32,
    ) -> &mut SnapshotRecord {
        let group = self.group(vcpu);
        let (home, alternate) = Self::homes(frame);
        let page = Self::number(group, home);
        if let Some(other) = self.occupant(frames, page) {
            self.slots[group].swap(home, alternate);
            frames.set_out_of_sync(other, Self::number(group, alternate));
        }
        let slot = self.slot_mut(page);
        slot.frame = frame;
        slot.next = 0;
        slot.fixups = [Claim::NONE; FIXUPS];
        let snapshot = usize::from(slot.snapshot);
        frames.set_out_of_sync(frame, page);
        let record = &mut self.snapshots[snapshot];
        record.diverged.fill(0);
        record
    }

    pub(crate) fn snapshot_mut(&mut self, page: u8) -> &mut SnapshotRecord {
        &mut self.snapshots[usize::from(self.slot(page).snapshot)]
    }

    /// Whether nothing used another value of an entry than `live`.
    pub(crate) fn is_settled(&self, page: u8, slot: usize, live: u64) -> bool {
        let record = &self.snapshots[usize::from(self.slot(page).snapshot)];
        record.entries[slot] == live && record.diverged[slot / 64] & 1 << (slot % 64) == 0
    }

    /// Where the page is mapped writable, or was.
    pub(crate) fn fixups(&self, page: u8) -> [Claim; FIXUPS] {
        self.slot(page).fixups
    }

    pub(crate) fn forget_fixup(&mut self, page: u8, place: Claim) {
        for fixup in &mut self.slot_mut(page).fixups {
            if *fixup == place {
                *fixup = Claim::NONE;
            }
        }
    }

    /// The fixup that must give way before `place` can be recorded; `None` if
    /// it is recorded already. [`Claim::NONE`] means that nothing is there.
    pub(crate) fn fixup_in_the_way(&self, page: u8, place: Claim) -> Option<Claim> {
        let slot = self.slot(page);
        (!slot.fixups.contains(&place)).then(|| slot.fixups[usize::from(slot.next) % FIXUPS])
    }

    /// Records a writable mapping in the place of the next fixup.
    pub(crate) fn add_fixup(&mut self, page: u8, place: Claim) {
        let slot = self.slot_mut(page);
        let next = usize::from(slot.next) % FIXUPS;
        slot.fixups[next] = place;
        slot.next = ((next + 1) % FIXUPS) as u8;
    }
}

#[cfg(feature = "states")]
impl<const PAGES: usize, const FIXUPS: usize> OutOfSync<'_, PAGES, FIXUPS> {
    /// Of a slot without an occupant, nothing counts.
    pub(crate) fn fingerprint(&self, frames: &Frames<'_>, state: &mut impl core::hash::Hasher) {
        for page in self.pages() {
            let occupant = self.occupant(frames, page);
            state.write_u32(occupant.map_or(u32::MAX, |frame| frame));
            if occupant.is_some() {
                let slot = self.slot(page);
                state.write_u8(slot.next);
                core::hash::Hash::hash(&slot.fixups, state);
                state.write(self.snapshots[usize::from(slot.snapshot)].as_bytes());
            }
        }
    }

    pub(crate) fn copy_to<'b>(
        &self,
        frames: &Frames<'_>,
        snapshots: &'b mut [SnapshotRecord],
    ) -> OutOfSync<'b, PAGES, FIXUPS> {
        for page in self.pages().filter(|&page| self.occupant(frames, page).is_some()) {
            let snapshot = usize::from(self.slot(page).snapshot);
            snapshots[snapshot] = self.snapshots[snapshot];
        }
        OutOfSync { snapshots, slots: self.slots, groups: self.groups }
    }
}
