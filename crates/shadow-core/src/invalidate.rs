//! Events that flush a TLB: CR3 loads, INVLPG, page faults, mode changes.
//!
//! Every leaf comes from one full walk, with the rights of all levels combined,
//! and upper instances are compared with each walk (R1). So no shadow state acts
//! as a paging-structure cache, and INVLPG has nothing to do for upper levels.

use x86::{Gfn, GuestMemory, Gva, Level};

use crate::context::PagingContext;
use crate::last_path::LastPath;
use crate::mappings::{MapError, Mappings, Result, SpaceId};
use crate::mmu::ShadowMmu;
use crate::policy::Defect;
use crate::request::{Ops, Request, UNBOUNDED};
use crate::spaces::SpaceKey;
use crate::tracking::TableRef;

/// Stale instances of a space that are emptied one by one; with more, the whole
/// space is.
const STALE_DROPPED_SINGLY: u32 = 8;

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// The space for the context's guest root and view, in which its vCPU
    /// shall run from now on. Call it when CPL or CR0.WP changed; for MOV CR3
    /// call [`Self::load_cr3`].
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses, or as [`MapError::AGAIN`]; the vCPU
    /// has no active space then.
    pub fn activate(&mut self, cpu: &PagingContext, caps: &mut impl Mappings) -> Result<SpaceId> {
        if let Some(space) = self.spaces.active_for(cpu) {
            return Ok(space);
        }
        self.enter(cpu, &mut Request::new(&(), caps, self.policy.budget))
    }

    fn enter(&mut self, cpu: &PagingContext, ops: &mut impl Ops) -> Result<SpaceId> {
        if let Some(space) = self.spaces.active_for(cpu) {
            return Ok(space);
        }
        self.spaces.set_active(cpu.vcpu, None);
        let key = SpaceKey::of(cpu);
        let space = match self.spaces.find(key) {
            Some(space) => space,
            None => self.recycle_space(key, ops)?,
        };
        self.drop_stale(space, ops)?;
        self.track_root(space, ops)?;
        self.spaces.set_active(cpu.vcpu, Some(space));
        Ok(space)
    }

    /// Gives the least recently active space, emptied, to another root and view.
    fn recycle_space(&mut self, key: SpaceKey, ops: &mut impl Ops) -> Result<SpaceId> {
        let none = MapError { operation: "space pool", status: 0 };
        let space = self.spaces.least_recent().ok_or(none)?;
        if self.spaces.key(space) != SpaceKey::NONE {
            self.counters.space_recycled += 1;
            self.empty(space, ops)?;
        }
        self.tables.forget_origin(&mut self.frames, Level::L4, space.0);
        self.spaces.set_key(space, key);
        Ok(space)
    }

    /// Drops all leaves of a space; nothing in it is stale then.
    fn empty(&mut self, space: SpaceId, ops: &mut impl Ops) -> Result {
        self.empty_space(space, ops)?;
        self.counters.space_emptied += 1;
        while let Some(table) = self.tables.first_stale(space) {
            self.tables.forget_origin(&mut self.frames, table.level, table.index);
        }
        Ok(())
    }

    /// Empties the stale instances of a space (R6).
    fn drop_stale(&mut self, space: SpaceId, ops: &mut impl Ops) -> Result {
        let mut left = STALE_DROPPED_SINGLY;
        while let Some(TableRef { level, index }) = self.tables.first_stale(space) {
            if left == 0 || level == Level::L4 {
                return self.empty(space, ops);
            }
            left -= 1;
            if self.policy.has(Defect::StaleTrusted) {
                self.tables.forget_origin(&mut self.frames, level, index);
                continue;
            }
            if level == Level::L1 {
                self.empty_table(index, ops)?;
            } else if self.tables.used(level, index) != 0 {
                self.drop_subtree(level, index, ops)?;
            }
            self.tables.forget_origin(&mut self.frames, level, index);
        }
        Ok(())
    }

    /// MOV CR3: nothing older than this load stays reachable for the vCPU, in
    /// any view of the new root, which `cpu` holds. What the vCPU let go out of
    /// sync is resynced, what others did is checked for this root. (Global
    /// pages are no exception, which a TLB may do.)
    ///
    /// # Errors
    /// [`MapError`] as for [`Self::activate`]; repeat it before the guest runs.
    pub fn load_cr3(
        &mut self,
        cpu: &PagingContext,
        memory: &impl GuestMemory,
        caps: &mut impl Mappings,
    ) -> Result<SpaceId> {
        let ops = &mut Request::new(memory, caps, self.policy.budget);
        self.loads = (self.loads + 1) % 8;
        self.resync_own(cpu.vcpu, ops)?;
        self.sync_contents(cpu.vcpu, cpu.root, ops)?;
        self.enter(cpu, ops)
    }

    /// CR0.PG, CR4 or EFER changed: everything is brought in step. (A change of
    /// CR0.WP alone only changes the view: call [`Self::activate`].)
    ///
    /// # Errors
    /// [`MapError`] as for [`Self::load_cr3`].
    pub fn paging_mode_changed(
        &mut self,
        cpu: &PagingContext,
        memory: &impl GuestMemory,
        caps: &mut impl Mappings,
    ) -> Result<SpaceId> {
        let ops = &mut Request::new(memory, caps, self.policy.budget);
        self.resync_all(ops)?;
        self.enter(cpu, ops)
    }

    /// INVLPG: in every view of the current root, the page of `gva` is dropped,
    /// or mapped as the tables say now, and the whole guest superpage dropped
    /// where one was splintered there. Addresses that are not canonical are
    /// ignored, as hardware does.
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses: the page may still be mapped, and
    /// the guest must not go on before a repetition succeeds.
    pub fn invlpg(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        memory: &impl GuestMemory,
        caps: &mut impl Mappings,
    ) -> Result {
        let ops = &mut Request::new(memory, caps, UNBOUNDED);
        self.counters.invlpg += 1;
        let derive = self.policy.derive;
        self.invalidate_in_all_views(cpu.root, gva, derive, ops).map(|_| ())
    }

    /// To be called before #PF at `gva` is delivered: the fault itself
    /// invalidates what the TLB held for the address (SDM vol. 3A, §4.10.4.1).
    /// What the tables give still stays, as after a write to a page without W.
    ///
    /// # Errors
    /// [`MapError`] as for [`Self::invlpg`].
    pub fn page_fault_delivered(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        memory: &impl GuestMemory,
        caps: &mut impl Mappings,
    ) -> Result {
        let ops = &mut Request::new(memory, caps, UNBOUNDED);
        if self.policy.has(Defect::FaultKeepsLeaf) {
            return Ok(());
        }
        let dropped = self.invalidate_in_all_views(cpu.root, gva, false, ops)?;
        self.counters.pf_zap += u64::from(dropped);
        Ok(())
    }

    fn invalidate_in_all_views(
        &mut self,
        root: Gfn,
        gva: Gva,
        derive: bool,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        if !gva.is_canonical() {
            return Ok(false);
        }
        let mut dropped = false;
        let views = self.spaces.views(root);
        for &space in views.iter().flatten() {
            if self.policy.has(Defect::OneViewInvalidated) && !self.spaces.is_active(space) {
                continue;
            }
            dropped |= self.invalidate_address(space, gva, derive, ops)?;
        }
        Ok(dropped)
    }

    /// Drops what `space` holds for `gva` unless a walk gives it now, or, with
    /// `derive`, maps what the walk gives; `true` if there was anything.
    fn invalidate_address(
        &mut self,
        space: SpaceId,
        gva: Gva,
        derive: bool,
        ops: &mut impl Ops,
    ) -> Result<bool> {
        let last = &self.last;
        if last.space == space
            && last.prefix == LastPath::prefix_of(gva)
            && !last.origins.iter().any(|origin| origin.is_superpage())
        {
            return self.refresh_leaf(last.table, Level::L1.index(gva), derive, ops);
        }
        let Some(pdpt) = self.tables.child(Level::L4, space.0, Level::L4.index(gva)) else {
            return Ok(false);
        };
        let Some(pd) = self.tables.child(Level::L3, pdpt, Level::L3.index(gva)) else {
            return Ok(false);
        };
        if self.tables.used(Level::L2, pd) != 0 && self.tables.origin(Level::L2, pd).is_superpage()
        {
            self.drop_subtree(Level::L2, pd, ops)?;
            return Ok(true);
        }
        let Some(table) = self.tables.child(Level::L2, pd, Level::L2.index(gva)) else {
            return Ok(false);
        };
        if self.tables.used(Level::L1, table) == 0 {
            return Ok(false);
        }
        if self.tables.origin(Level::L1, table).is_superpage()
            && !self.policy.has(Defect::SuperpageSplit)
        {
            self.empty_table(table, ops)?;
            return Ok(true);
        }
        self.refresh_leaf(table, Level::L1.index(gva), derive, ops)
    }
}
