//! The page-fault path: walk → decide → compose → apply.

use x86::{Gfn, Gpa, GuestMemory, Gva, Level, PageFault};

use crate::context::{Access, PagingContext, View};
use crate::copies::Claim;
use crate::frames::{FrameKind, HostMap, Tracking};
use crate::leaf::Leaf;
use crate::mappings::{MapError, Mappings, Result};
use crate::mmu::ShadowMmu;
use crate::origin::Rights;
use crate::policy::Defect;
use crate::request::{Ops, Request, UNBOUNDED};
use crate::walk::{GuestWalk, WalkFailure, walk};

/// What became of a page fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum FaultOutcome {
    /// The shadow now allows the access: resume the guest.
    Filled {
        /// The frame mapped.
        gfn: Gfn,
        /// Whether the leaf is writable.
        writable: bool,
        /// Whether the entry had been recorded as sufficient. Several vCPUs
        /// can cause that; for one it means a stale cap had emptied it.
        healed: bool,
    },
    /// The fault is the guest's own: call
    /// [`ShadowMmu::page_fault_delivered`], then deliver #PF.
    GuestFault(PageFault),
    /// The address is not canonical: deliver #GP (or #SS) with code 0.
    NonCanonical,
    /// The guest's tables lead outside RAM: a device access, or reads of all ones.
    NotRam {
        /// The address accessed.
        gpa: Gpa,
        /// The access.
        access: Access,
    },
    /// The guest's tables allow the write, the platform does not.
    ReadOnlyMemory {
        /// The address written.
        gpa: Gpa,
    },
    /// The tables kept changing: resume the guest, which faults again.
    Retry,
    /// The guest maps an address where the kernel allows no mapping:
    /// [`Mappings::TOP`] and above. A stated limit; end the guest.
    Unmappable {
        /// The address.
        gva: Gva,
    },
    /// The vCPU does not run in the space of this context: a defect of the
    /// caller, which did not call [`ShadowMmu::activate`].
    NotActive,
    /// A table had to leave its out-of-sync page, and what was built from it is
    /// not all in step yet: handle the fault again, after having served others.
    Again,
    /// The kernel refused an operation. Records are consistent and the fault
    /// may be handled again.
    Failed(MapError),
}

/// A guest-virtual address translated for an access by a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Translation {
    /// RAM that the access may touch, to the end of the page.
    Ram(Gpa),
    /// The guest gets this page fault.
    GuestFault(PageFault),
    /// The address is not canonical.
    NonCanonical,
    /// Outside RAM.
    NotRam(Gpa),
    /// A write to memory that the platform makes read-only.
    ReadOnlyMemory(Gpa),
    /// The tables kept changing: abandon the instruction and resume the guest.
    Retry,
}

/// Walks of one fault: two for each of promotion and unsync of two pages, and
/// some for siblings.
const ROUNDS: u32 = 6;

/// What the host says to a walk that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Map(FrameKind),
    NotRam,
    ReadOnlyMemory,
}

/// Whether the host lets `access` touch the frame.
#[inline]
fn decide(walk: &GuestWalk, host: &impl HostMap, access: Access) -> Decision {
    match host.kind(walk.gfn) {
        FrameKind::NotRam => Decision::NotRam,
        FrameKind::ReadOnly if access.is_write() => Decision::ReadOnlyMemory,
        kind => Decision::Map(kind),
    }
}

/// Whether the leaf may be writable: D is set (so that the first write to a
/// clean page faults), the frame is not read-only, and the view allows writes.
/// With CR0.WP = 0 a page without W becomes writable on a write fault only.
#[inline]
fn compose(walk: &GuestWalk, kind: FrameKind, view: View, access: Access) -> bool {
    let allowed = match view {
        View::KernelWp0 if access.is_write() => true,
        _ => walk.rights.contains(Rights::WRITE),
    };
    allowed && walk.dirty && kind == FrameKind::Ram
}

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Handles a page fault that a vCPU took in its active space: fills the
    /// shadow if the guest's tables allow the access, and says else what the
    /// guest gets. Sets A and D in the guest's tables as hardware does.
    #[inline(always)] // its first round is the fault path
    pub fn handle_fault(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        memory: &impl GuestMemory,
        caps: &mut impl Mappings,
    ) -> FaultOutcome {
        let ops = &mut Request::new(memory, caps, UNBOUNDED);
        self.counters.fault += 1;
        for _ in 0..ROUNDS {
            if let Some(outcome) = self.handle_once(cpu, gva, access, ops) {
                return outcome;
            }
        }
        self.counters.inconsistent_gwalk += 1;
        FaultOutcome::Retry
    }

    /// One round; `None` if the tables must be walked again.
    #[inline(always)] // the first round is the fault path
    fn handle_once(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        ops: &mut impl Ops,
    ) -> Option<FaultOutcome> {
        let walk = match walk(ops.memory(), &self.frames, cpu, gva, access) {
            Ok(walk) => walk,
            Err(failure) => return Some(self.refuse(failure)),
        };
        let kind = match decide(&walk, &self.frames, access) {
            Decision::Map(kind) => kind,
            Decision::NotRam => {
                self.counters.fault_mmio += 1;
                return Some(FaultOutcome::NotRam { gpa: byte(&walk, gva), access });
            }
            Decision::ReadOnlyMemory => {
                self.counters.fault_read_only += 1;
                return Some(FaultOutcome::ReadOnlyMemory { gpa: byte(&walk, gva) });
            }
        };
        let writable = compose(&walk, kind, cpu.view(), access);
        match self.apply(cpu, gva, access, &walk, writable, ops) {
            Ok(outcome) => outcome,
            Err(error) if error.is_again() => Some(FaultOutcome::Again),
            Err(error) => Some(FaultOutcome::Failed(error)),
        }
    }

    /// Makes the shadow agree with a walk; `None` if something changed that
    /// asks for another one.
    #[inline(always)] // as the round that it ends
    fn apply<O: Ops>(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        walk: &GuestWalk,
        may_write: bool,
        ops: &mut O,
    ) -> Result<Option<FaultOutcome>> {
        let Some(space) = self.spaces.active_for(cpu) else {
            return Ok(Some(FaultOutcome::NotActive));
        };
        if gva.page_base().get() >= O::TOP {
            return Ok(Some(FaultOutcome::Unmappable { gva }));
        }
        // `decide` has shown that the frame is RAM, so its number is small.
        let frame = walk.gfn.get() as u32;
        let tracking = self.frames.tracking(frame);
        // Tables are mapped writable on demand only.
        let planted = self.policy.has(Defect::TableReadWritable);
        let unasked = self.frames.is_freely_writable(frame) || planted;
        let writable = may_write && (access.is_write() || unasked);
        if writable && tracking == Tracking::Synced && !planted {
            let on_path = self.is_on_path(frame, cpu.root, &walk.origins);
            if self.prepare_write(cpu.vcpu, frame, on_path, ops)? {
                return Ok(None);
            }
        }
        let Some(table) = self.instance_for(space, gva, &walk.origins, ops)? else {
            return Ok(None);
        };
        if writable {
            self.frames.stored(walk.gfn);
        }
        if self.frames.any_out_of_sync() {
            self.note_used(cpu.root, gva, walk);
            if writable {
                self.add_fixup(frame, Claim::new(space, gva.page_base()), ops)?;
            }
        }
        let leaf = Leaf { frame, writable, write_fault: access.is_write() };
        let fresh = !self.tables.is_present(Level::L1, table, Level::L1.index(gva));
        let healed = self.fill(space, gva, table, leaf, ops)?;
        // Where this entry had never been used, its neighbours hardly were.
        let worth = fresh && !walk.marked && walk.leaf_level == Level::L1;
        if worth && self.policy.neighbours > 1 {
            self.prefault_neighbours(cpu, space, gva, table, access, walk, ops)?;
        }
        self.counters.fault_fixed += 1;
        self.counters.fault_wp0 += u64::from(writable && !walk.rights.contains(Rights::WRITE));
        Ok(Some(FaultOutcome::Filled { gfn: walk.gfn, writable, healed }))
    }

    #[cold]
    fn refuse(&mut self, failure: WalkFailure) -> FaultOutcome {
        match failure {
            WalkFailure::PageFault(fault) => {
                self.counters.fault_bail_real_fault += 1;
                FaultOutcome::GuestFault(fault)
            }
            WalkFailure::NonCanonical => FaultOutcome::NonCanonical,
            WalkFailure::Changed => {
                self.counters.inconsistent_gwalk += 1;
                FaultOutcome::Retry
            }
        }
    }

    /// Translates one address for an access that a server makes for the guest
    /// (instruction bytes, descriptor tables, stacks), and sets A and D. The
    /// answer holds to the end of the page; translate every page of a crossing
    /// access before touching any.
    pub fn translate(
        &self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        memory: &impl GuestMemory,
    ) -> Translation {
        match walk(memory, &self.frames, cpu, gva, access) {
            Ok(walk) => match decide(&walk, &self.frames, access) {
                Decision::Map(_) => Translation::Ram(byte(&walk, gva)),
                Decision::NotRam => Translation::NotRam(byte(&walk, gva)),
                Decision::ReadOnlyMemory => Translation::ReadOnlyMemory(byte(&walk, gva)),
            },
            Err(WalkFailure::PageFault(fault)) => Translation::GuestFault(fault),
            Err(WalkFailure::NonCanonical) => Translation::NonCanonical,
            Err(WalkFailure::Changed) => Translation::Retry,
        }
    }
}

/// The guest-physical address of the byte at `gva`.
#[inline]
fn byte(walk: &GuestWalk, gva: Gva) -> Gpa {
    Gpa::new(walk.gfn.base().get() | gva.page_offset())
}

#[cfg(test)]
mod tests {
    use x86::Gpte;

    use super::*;
    use crate::origin::Origin;

    struct Host(FrameKind);

    impl HostMap for Host {
        fn kind(&self, _: Gfn) -> FrameKind {
            self.0
        }
    }

    fn found(rights: Rights, dirty: bool) -> GuestWalk {
        GuestWalk {
            gfn: Gfn::new(7),
            rights,
            dirty,
            marked: false,
            leaf_level: Level::L1,
            entries: [Gpte::empty(); 4],
            origins: [Origin::NONE; 3],
        }
    }

    #[test]
    fn the_host_decides_by_frame_and_access() {
        let walk = found(Rights::all(), true);
        for access in [Access::Read, Access::Write, Access::Execute] {
            let ram = decide(&walk, &Host(FrameKind::Ram), access);
            assert_eq!(ram, Decision::Map(FrameKind::Ram));
            let hole = decide(&walk, &Host(FrameKind::NotRam), access);
            assert_eq!(hole, Decision::NotRam);
            let rom = decide(&walk, &Host(FrameKind::ReadOnly), access);
            let expected = match access {
                Access::Write => Decision::ReadOnlyMemory,
                _ => Decision::Map(FrameKind::ReadOnly),
            };
            assert_eq!(rom, expected);
        }
    }

    #[test]
    fn a_leaf_is_writable_only_if_everything_allows_it() {
        for view in [View::Kernel, View::KernelWp0, View::User] {
            for access in [Access::Read, Access::Write] {
                for write in [false, true] {
                    for dirty in [false, true] {
                        let rights = if write { Rights::all() } else { Rights::USER };
                        let walk = found(rights, dirty);
                        let wp0 = view == View::KernelWp0 && access == Access::Write;
                        let expected = dirty && (write || wp0);
                        assert_eq!(compose(&walk, FrameKind::Ram, view, access), expected);
                        assert!(!compose(&walk, FrameKind::ReadOnly, view, access));
                    }
                }
            }
        }
    }
}
