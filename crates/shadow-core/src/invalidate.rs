//! Events that flush a TLB: CR3 loads, INVLPG, page faults, mode changes.
//!
//! A leaf is filled from one full walk of live memory, so it is what a TLB
//! could hold, and stays so until one of these events. Upper instances hold no
//! rights and are compared with each walk (R1), so no paging-structure cache
//! outlives a change for new fills.

use x86::{Gfn, Gva, Level};

use crate::context::PagingContext;
use crate::mappings::{MapError, Mappings, SpaceId};
use crate::mmu::ShadowMmu;
use crate::spaces::SpaceKey;

impl ShadowMmu<'_> {
    /// The space for the context's guest root and view, in which its vCPU
    /// shall run from now on. Call it when CPL or CR0.WP changed; for MOV CR3
    /// call [`Self::load_cr3`].
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses; the vCPU has no active space then.
    pub fn activate(
        &mut self,
        cpu: &PagingContext,
        caps: &mut impl Mappings,
    ) -> Result<SpaceId, MapError> {
        if let Some(space) = self.spaces.active_for(cpu)
            && !self.spaces.is_stale(space)
        {
            return Ok(space);
        }
        self.spaces.set_active(cpu.vcpu, None);
        let key = SpaceKey::of(cpu);
        let space = match self.spaces.find(key) {
            Some(space) => space,
            None => self.recycle_space(key, caps)?,
        };
        if self.spaces.is_stale(space) {
            self.empty(space, caps)?;
        }
        self.spaces.set_active(cpu.vcpu, Some(space));
        Ok(space)
    }

    /// Gives the least recently active space, emptied, to another root and view.
    fn recycle_space(
        &mut self,
        key: SpaceKey,
        caps: &mut impl Mappings,
    ) -> Result<SpaceId, MapError> {
        let none = MapError {
            operation: "space pool",
            status: 0,
        };
        let space = self.spaces.least_recent().ok_or(none)?;
        if self.spaces.key(space) != SpaceKey::NONE {
            self.counters.space_recycled += 1;
            self.spaces.set_stale(space, true);
            self.empty(space, caps)?;
        }
        self.spaces.set_key(space, key);
        Ok(space)
    }

    fn empty(&mut self, space: SpaceId, caps: &mut impl Mappings) -> Result<(), MapError> {
        self.empty_space(space, caps)?;
        self.counters.space_emptied += 1;
        self.spaces.set_stale(space, false);
        Ok(())
    }

    /// MOV CR3: every view of the loaded root starts empty. `cpu` holds the
    /// new root. Views other than the current one are emptied when they are
    /// activated. (Global pages are dropped too, which a TLB may do.)
    ///
    /// # Errors
    /// [`MapError`] as for [`Self::activate`].
    pub fn load_cr3(
        &mut self,
        cpu: &PagingContext,
        caps: &mut impl Mappings,
    ) -> Result<SpaceId, MapError> {
        self.mark_stale(|root| root == cpu.root);
        self.activate(cpu, caps)
    }

    /// CR0.PG, CR4 or EFER changed: everything is dropped. (A change of CR0.WP
    /// alone only changes the view: call [`Self::activate`].)
    ///
    /// # Errors
    /// [`MapError`] as for [`Self::activate`].
    pub fn paging_mode_changed(
        &mut self,
        cpu: &PagingContext,
        caps: &mut impl Mappings,
    ) -> Result<SpaceId, MapError> {
        self.mark_stale(|_| true);
        self.activate(cpu, caps)
    }

    fn mark_stale(&mut self, concerns: impl Fn(Gfn) -> bool) {
        for space in self.spaces.ids() {
            let key = self.spaces.key(space);
            if key != SpaceKey::NONE && concerns(key.root()) {
                self.spaces.set_stale(space, true);
            }
        }
    }

    /// INVLPG: drops the page of `gva` in every view of the current root, and
    /// the whole guest superpage where one was splintered there. Addresses that
    /// are not canonical are ignored, as hardware does.
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses: the page may still be mapped, and
    /// the guest must not go on before a repetition succeeds.
    pub fn invlpg(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        caps: &mut impl Mappings,
    ) -> Result<(), MapError> {
        self.counters.invlpg += 1;
        self.drop_in_all_views(cpu.root, gva, caps).map(|_| ())
    }

    /// To be called before #PF at `gva` is delivered: the fault itself
    /// invalidates what the TLB held for the address (SDM vol. 3A, §4.10.4.1).
    ///
    /// # Errors
    /// [`MapError`] as for [`Self::invlpg`].
    pub fn page_fault_delivered(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        caps: &mut impl Mappings,
    ) -> Result<(), MapError> {
        let dropped = self.drop_in_all_views(cpu.root, gva, caps)?;
        self.counters.pf_zap += u64::from(dropped);
        Ok(())
    }

    fn drop_in_all_views(
        &mut self,
        root: Gfn,
        gva: Gva,
        caps: &mut impl Mappings,
    ) -> Result<bool, MapError> {
        if !gva.is_canonical() {
            return Ok(false);
        }
        let mut dropped = false;
        for space in self.spaces.ids() {
            let key = self.spaces.key(space);
            if key != SpaceKey::NONE && key.root() == root {
                dropped |= self.drop_address(space, gva, caps)?;
            }
        }
        Ok(dropped)
    }

    /// Drops what `space` holds for `gva`; `true` if there was anything.
    fn drop_address(
        &mut self,
        space: SpaceId,
        gva: Gva,
        caps: &mut impl Mappings,
    ) -> Result<bool, MapError> {
        let Some(pdpt) = self.tables.child(Level::L4, space.0, Level::L4.index(gva)) else {
            return Ok(false);
        };
        let Some(pd) = self.tables.child(Level::L3, pdpt, Level::L3.index(gva)) else {
            return Ok(false);
        };
        if self.tables.used(Level::L2, pd) != 0 && self.tables.origin(Level::L2, pd).is_superpage()
        {
            self.drop_subtree(Level::L2, pd, caps)?;
            return Ok(true);
        }
        let Some(table) = self.tables.child(Level::L2, pd, Level::L2.index(gva)) else {
            return Ok(false);
        };
        if self.tables.used(Level::L1, table) == 0 {
            return Ok(false);
        }
        if self.tables.origin(Level::L1, table).is_superpage() {
            self.empty_table(table, caps)?;
            return Ok(true);
        }
        self.drop_leaf(table, Level::L1.index(gva), caps)
    }
}
