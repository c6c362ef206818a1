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
#[inline]
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
    for _ in 0..WALK_ATTEMPTS {
        let mut walk = traverse(memory, cpu, gva, access)?;
        check_rights(&walk, cpu, gva, access)?;
        if set_accessed_and_dirty(&mut walk, memory, host, cpu, gva, access) {
            return Ok(walk);
        }
    }
    Err(WalkFailure::Changed)
}

/// Reads the path, judging presence and reserved bits.
#[inline]
fn traverse(
    memory: &impl GuestMemory,
    cpu: &PagingContext,
    gva: Gva,
    access: Access,
) -> Result<GuestWalk, WalkFailure> {
    let mut entries = [Gpte::empty(); 4];
    let mut origins = [Origin::NONE; 3];
    let mut rights = Rights::all();
    let mut table = cpu.root;
    let mut level = Level::L4;
    loop {
        let entry = load(memory, entry_address(table, level, gva));
        if !entry.contains(Gpte::PRESENT) {
            return Err(fault(cpu, gva, access, PageFaultCode::empty()));
        }
        if entry.is_malformed(level) {
            return Err(fault(
                cpu,
                gva,
                access,
                PageFaultCode::PRESENT | PageFaultCode::RESERVED,
            ));
        }
        entries[level as usize - 1] = entry;
        rights = rights.through(entry);
        match level.below() {
            Some(below) if !entry.is_leaf(level) => {
                table = entry.gfn(level);
                origins[below as usize - 1] = Origin::table(table, rights);
                level = below;
            }
            _ => {
                let gfn = leaf_frame(entry, level, gva);
                splinter(&mut origins, entry, level, gva, rights);
                let dirty = entry.contains(Gpte::DIRTY);
                return Ok(GuestWalk {
                    gfn,
                    rights,
                    dirty,
                    leaf_level: level,
                    entries,
                    origins,
                });
            }
        }
    }
}

/// The 4 KiB frame of `gva` in the page that `entry` maps at `level`.
#[inline]
fn leaf_frame(entry: Gpte, level: Level, gva: Gva) -> Gfn {
    let inside = gva.get() & (level.span() - 1);
    Gfn::new(entry.gfn(level).get() + (inside >> 12))
}

/// Origins of the instances below a superpage's leaf: one per level, each
/// standing for its part of the page.
#[inline]
fn splinter(origins: &mut [Origin; 3], leaf: Gpte, level: Level, gva: Gva, rights: Rights) {
    let mut part = level;
    while let Some(below) = part.below() {
        // An instance of level `below` covers what one entry of `part` maps.
        let inside = gva.get() & (level.span() - 1) & !(part.span() - 1);
        let first = Gfn::new(leaf.gfn(level).get() + (inside >> 12));
        origins[below as usize - 1] = Origin::superpage(first, rights);
        part = below;
    }
}

/// Judges U and W over the whole path (SDM vol. 3A, §4.6.1).
#[inline]
fn check_rights(
    walk: &GuestWalk,
    cpu: &PagingContext,
    gva: Gva,
    access: Access,
) -> Result<(), WalkFailure> {
    let user_ok = !cpu.user || walk.rights.contains(Rights::USER);
    let needs_w = access.is_write() && (cpu.user || cpu.write_protect);
    if user_ok && (!needs_w || walk.rights.contains(Rights::WRITE)) {
        Ok(())
    } else {
        Err(fault(cpu, gva, access, PageFaultCode::PRESENT))
    }
}

/// Sets A on every level and, for writes, D on the leaf. `false`: an entry
/// changed since it was read.
#[inline]
fn set_accessed_and_dirty(
    walk: &mut GuestWalk,
    memory: &impl GuestMemory,
    host: &impl HostMap,
    cpu: &PagingContext,
    gva: Gva,
    access: Access,
) -> bool {
    let mut table = cpu.root;
    let mut level = Level::L4;
    loop {
        let entry = walk.entries[level as usize - 1];
        let is_leaf = level == walk.leaf_level;
        let mut wanted = entry | Gpte::ACCESSED;
        if is_leaf && access.is_write() {
            wanted |= Gpte::DIRTY;
        }
        if wanted != entry
            && !update(
                memory,
                host,
                entry_address(table, level, gva),
                entry,
                wanted,
            )
        {
            return false;
        }
        walk.entries[level as usize - 1] = wanted;
        match level.below() {
            Some(below) if !is_leaf => {
                table = entry.gfn(level);
                level = below;
            }
            _ => {
                walk.dirty = wanted.contains(Gpte::DIRTY);
                return true;
            }
        }
    }
}

/// Replaces `entry` by `wanted`; `false` if it is no longer `entry`.
#[cold]
fn update(
    memory: &impl GuestMemory,
    host: &impl HostMap,
    gpa: Gpa,
    entry: Gpte,
    wanted: Gpte,
) -> bool {
    match host.kind(gpa.gfn()) {
        FrameKind::Ram => {
            memory.compare_exchange_u64(gpa, entry.bits(), wanted.bits()) == Ok(entry.bits())
        }
        FrameKind::ReadOnly | FrameKind::NotRam => true,
    }
}

#[inline]
fn entry_address(table: Gfn, level: Level, gva: Gva) -> Gpa {
    Gpa::new(table.base().get() | (level.index(gva) as u64 * 8))
}

#[inline]
fn load(memory: &impl GuestMemory, gpa: Gpa) -> Gpte {
    Gpte::from_bits_retain(memory.load_u64(gpa).unwrap_or(u64::MAX))
}

#[cold]
fn fault(cpu: &PagingContext, gva: Gva, access: Access, cause: PageFaultCode) -> WalkFailure {
    WalkFailure::PageFault(PageFault {
        address: gva,
        code: cpu.code(access) | cause,
    })
}
