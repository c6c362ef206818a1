//! The guest page walk: hardware's answer, exactly.
//!
//! Follows SDM vol. 3A, §4.5 (4-level paging), §4.6 (rights), §4.7 (error
//! codes) and §4.8 (A and D). Each guest entry is loaded once, and every
//! decision uses that value, since running vCPUs may change tables meanwhile.
//!
//! - Not-present and reserved bits are judged level by level, rights only
//!   after the whole path is known; so a not-present leaf below a
//!   supervisor-only table gives P = 0.
//! - A is set on all levels, and D on the leaf for writes, only after the walk
//!   succeeded, by compare-exchange. An entry that changed starts the walk
//!   again, at most [`WALK_ATTEMPTS`] times.
//! - A table outside RAM reads as all ones: bare QEMU gives that for
//!   unassigned memory. Bit 63 is reserved here, so it ends in a
//!   reserved-bit fault.
//! - A and D updates of a table in read-only memory are dropped, as stores to
//!   ROM are, and the walk goes on as if they had happened.

use x86::{Gfn, Gpa, Gpte, GuestMemory, Gva, Level, PageFault, PageFaultCode};

use crate::context::{Access, PagingContext};
use crate::frames::{FrameKind, HostMap};
use crate::origin::{Origin, Rights};

/// How often a walk starts when entries keep changing under it.
pub const WALK_ATTEMPTS: u32 = 4;

/// What the guest's tables say about one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestWalk {
    /// The 4 KiB frame that holds the address; inside a superpage, the part of it.
    pub gfn: Gfn,
    /// Rights over all levels, the leaf included.
    pub rights: Rights,
    /// Whether the leaf's D bit is set, after this walk.
    pub dirty: bool,
    /// Whether this walk set A or D anywhere.
    pub marked: bool,
    /// Level of the leaf entry: 1, or 2 and 3 for superpages.
    pub leaf_level: Level,
    /// Entries as they are after the walk, by level from 1; those below a
    /// superpage's leaf are zero.
    pub entries: [Gpte; 4],
    /// What the instances of levels 1, 2 and 3 on the path must have been
    /// built from, by level from 1.
    pub origins: [Origin; 3],
}

/// Why a walk gave no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkFailure {
    /// The guest gets a page fault.
    PageFault(PageFault),
    /// The address is not canonical: the guest gets #GP, or #SS for the stack.
    NonCanonical,
    /// Entries changed during [`WALK_ATTEMPTS`] walks: let the guest try again.
    Changed,
}

/// Walks the tables below `cpu.root` for an access to `gva`, and sets A and D.
///
/// # Errors
/// [`WalkFailure`] says what the guest gets instead of a translation.
#[inline(always)] // keeps the walk in registers on the fault path
pub fn walk(
    memory: &impl GuestMemory,
    host: &impl HostMap,
    cpu: &PagingContext,
    gva: Gva,
    access: Access,
) -> Result<GuestWalk, WalkFailure> {
    if !gva.is_canonical() {
        return Err(WalkFailure::NonCanonical);
    }
    let walker = Walker { memory, cpu, gva, access };
    let mut walk = walker.attempt()?;
    if walker.is_marked(&walk) || walker.mark_leaf(host, &mut walk) {
        Ok(walk)
    } else {
        walker.mark(host, walk)
    }
}

/// What a walk for a read gives if all it needs is there already: a 4 KiB page
/// with A on all levels. Changes nothing.
pub(crate) fn peek(memory: &impl GuestMemory, cpu: &PagingContext, gva: Gva) -> Option<GuestWalk> {
    let walker = Walker { memory, cpu, gva, access: Access::Read };
    walker.attempt().ok().filter(|walk| walker.is_marked(walk))
}

/// One access on its way through the tables.
struct Walker<'a, M> {
    memory: &'a M,
    cpu: &'a PagingContext,
    gva: Gva,
    access: Access,
}

impl<M: GuestMemory> Walker<'_, M> {
    #[inline(always)] // keeps the walk in registers, at the price of a second copy
    fn attempt(&self) -> Result<GuestWalk, WalkFailure> {
        let walk = self.traverse()?;
        self.check_rights(&walk)?;
        Ok(walk)
    }

    /// Sets A and D of a walk, which is made again while entries change.
    #[inline(never)]
    fn mark(&self, host: &impl HostMap, mut walk: GuestWalk) -> Result<GuestWalk, WalkFailure> {
        for _ in 1..WALK_ATTEMPTS {
            if self.set_accessed_and_dirty(host, &mut walk) {
                return Ok(walk);
            }
            walk = self.attempt()?;
        }
        if self.set_accessed_and_dirty(host, &mut walk) {
            Ok(walk)
        } else {
            Err(WalkFailure::Changed)
        }
    }

    /// Reads the path, judging presence and reserved bits. The levels are
    /// written out: this is the hottest code of the server.
    #[inline(always)]
    fn traverse(&self) -> Result<GuestWalk, WalkFailure> {
        let root = self.cpu.root;
        let l4 = self.entry(root, Level::L4)?;
        let (pdpt, rights) = (l4.gfn(Level::L4), Rights::all().through(l4));
        let o3 = Origin::table(pdpt, rights);

        let l3 = self.entry(pdpt, Level::L3)?;
        let (pd, rights) = (l3.gfn(Level::L3), rights.through(l3));
        if l3.is_leaf(Level::L3) {
            let o2 = Origin::superpage(pd, rights);
            let o1 = Origin::superpage(self.part_of(pd, Level::L3, Level::L2), rights);
            return Ok(self.leaf(
                Level::L3,
                [Gpte::empty(), Gpte::empty(), l3, l4],
                rights,
                [o1, o2, o3],
            ));
        }
        let o2 = Origin::table(pd, rights);

        let l2 = self.entry(pd, Level::L2)?;
        let (pt, rights) = (l2.gfn(Level::L2), rights.through(l2));
        if l2.is_leaf(Level::L2) {
            let o1 = Origin::superpage(pt, rights);
            return Ok(self.leaf(Level::L2, [Gpte::empty(), l2, l3, l4], rights, [o1, o2, o3]));
        }
        let o1 = Origin::table(pt, rights);

        let l1 = self.entry(pt, Level::L1)?;
        let rights = rights.through(l1);
        Ok(self.leaf(Level::L1, [l1, l2, l3, l4], rights, [o1, o2, o3]))
    }

    #[inline]
    fn leaf(
        &self,
        level: Level,
        entries: [Gpte; 4],
        rights: Rights,
        origins: [Origin; 3],
    ) -> GuestWalk {
        let leaf = entries[level as usize - 1];
        GuestWalk {
            gfn: self.part_of(leaf.gfn(level), level, Level::L1),
            rights,
            dirty: leaf.contains(Gpte::DIRTY),
            marked: false,
            leaf_level: level,
            entries,
            origins,
        }
    }

    /// First frame of what one entry of level `part` covers around the
    /// address, in a page of level `page` that begins at `first`.
    #[inline]
    fn part_of(&self, first: Gfn, page: Level, part: Level) -> Gfn {
        let inside = self.gva.get() & (page.span() - 1) & !(part.span() - 1);
        Gfn::new(first.get() + (inside >> 12))
    }

    /// Loads an entry that is present and well-formed.
    #[inline]
    fn entry(&self, table: Gfn, level: Level) -> Result<Gpte, WalkFailure> {
        let raw = self.memory.load_u64(self.address(table, level)).unwrap_or(u64::MAX);
        let entry = Gpte::from_bits_retain(raw);
        if !entry.contains(Gpte::PRESENT) {
            return Err(self.fault(PageFaultCode::empty()));
        }
        if entry.is_malformed(level) {
            return Err(self.fault(PageFaultCode::PRESENT | PageFaultCode::RESERVED));
        }
        Ok(entry)
    }

    #[inline]
    fn address(&self, table: Gfn, level: Level) -> Gpa {
        Gpa::new(table.base().get() | (level.index(self.gva) as u64 * 8))
    }

    /// Judges U and W over the whole path (SDM vol. 3A, §4.6.1).
    #[inline]
    fn check_rights(&self, walk: &GuestWalk) -> Result<(), WalkFailure> {
        let user_ok = !self.cpu.user || walk.rights.contains(Rights::USER);
        let needs_w = self.access.is_write() && (self.cpu.user || self.cpu.write_protect);
        if user_ok && (!needs_w || walk.rights.contains(Rights::WRITE)) {
            Ok(())
        } else {
            Err(self.fault(PageFaultCode::PRESENT))
        }
    }

    /// Whether A, and D where it is needed, are set already.
    #[inline]
    fn is_marked(&self, walk: &GuestWalk) -> bool {
        let [l1, l2, l3, l4] = walk.entries;
        let dirty = walk.dirty || !self.access.is_write();
        dirty && walk.leaf_level == Level::L1 && (l1 & l2 & l3 & l4).contains(Gpte::ACCESSED)
    }

    /// Sets A and D where only a 4 KiB page's own entry lacks them, the common
    /// case; `false` if nothing was done.
    #[inline]
    fn mark_leaf(&self, host: &impl HostMap, walk: &mut GuestWalk) -> bool {
        let [l1, l2, l3, l4] = walk.entries;
        if walk.leaf_level != Level::L1 || !(l2 & l3 & l4).contains(Gpte::ACCESSED) {
            return false;
        }
        let mut wanted = l1 | Gpte::ACCESSED;
        if self.access.is_write() {
            wanted |= Gpte::DIRTY;
        }
        let gpa = self.address(l2.gfn(Level::L2), Level::L1);
        if !self.update(host, gpa, l1, wanted) {
            return false;
        }
        walk.entries = [wanted, l2, l3, l4];
        walk.dirty = wanted.contains(Gpte::DIRTY);
        walk.marked = true;
        true
    }

    /// Sets A on every level and, for writes, D on the leaf, from the top.
    /// `false`: an entry changed since it was read.
    fn set_accessed_and_dirty(&self, host: &impl HostMap, walk: &mut GuestWalk) -> bool {
        let mut table = self.cpu.root;
        for level in Level::TOP_DOWN {
            let entry = walk.entries[level as usize - 1];
            let is_leaf = level == walk.leaf_level;
            let mut wanted = entry | Gpte::ACCESSED;
            if is_leaf && self.access.is_write() {
                wanted |= Gpte::DIRTY;
            }
            if wanted != entry {
                if !self.update(host, self.address(table, level), entry, wanted) {
                    return false;
                }
                walk.marked = true;
            }
            walk.entries[level as usize - 1] = wanted;
            if is_leaf {
                walk.dirty = wanted.contains(Gpte::DIRTY);
                break;
            }
            table = entry.gfn(level);
        }
        true
    }

    /// Replaces `entry` by `wanted`; `false` if it is no longer `entry`.
    fn update(&self, host: &impl HostMap, gpa: Gpa, entry: Gpte, wanted: Gpte) -> bool {
        match host.kind(gpa.gfn()) {
            FrameKind::Ram => {
                host.stored(gpa.gfn());
                self.memory.compare_exchange_u64(gpa, entry.bits(), wanted.bits())
                    == Ok(entry.bits())
            }
            FrameKind::ReadOnly | FrameKind::NotRam => true,
        }
    }

    #[cold]
    fn fault(&self, cause: PageFaultCode) -> WalkFailure {
        WalkFailure::PageFault(PageFault {
            address: self.gva,
            code: self.cpu.code(self.access) | cause,
        })
    }
}
