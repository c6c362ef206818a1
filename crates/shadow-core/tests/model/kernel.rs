//! A model of seL4's mapping semantics, stale caps included.
//!
//! - A frame cap remembers (address space, address) from Map until Unmap, even
//!   when a table above it was unmapped meanwhile.
//! - Map of a cap that is mapped begins with Unmap (kernel edit E12).
//! - Unmap of a frame cap empties the entry at the remembered address if it
//!   maps the same *frame*, whichever cap put it there.
//! - Remap writes the entry at the remembered address, whatever is there.
//! - Unmap of a table unlinks it if its parent entry still names it, and
//!   empties it either way.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use shadow_core::{CopyId, MapError, Mappings, Pools, SpaceId, TableId};
use x86::{Gfn, Gva, Level};

use super::memory::Ram;

/// seL4's error numbers that occur here.
pub const INVALID_CAPABILITY: u32 = 2;
pub const ILLEGAL_OPERATION: u32 = 3;
pub const FAILED_LOOKUP: u32 = 6;
pub const DELETE_FIRST: u32 = 8;
/// What injected failures give.
pub const INJECTED: u32 = 99;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    Table(usize),
    Page { frame: u64, writable: bool },
}

#[derive(Clone, Debug, Hash)]
struct Table {
    mapped: Option<(usize, u64)>,
    /// Entries in use, by slot.
    entries: BTreeMap<usize, Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FrameCap {
    frame: u64,
    mapped: Option<(usize, u64)>,
}

/// One successful or failed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    MapFrame,
    RemapFrame,
    UnmapFrame,
    MapTable(Level),
    UnmapTable(Level),
    CopyFrame,
    DeleteCopy,
    Revoke,
}

#[derive(Clone)]
pub struct Kernel {
    frames: u64,
    slots: Vec<Option<FrameCap>>,
    /// Tables by level from 1; level 4 are the roots.
    tables: [Vec<Table>; 4],
    /// Operations since the last [`Kernel::take_calls`].
    pub calls: Vec<Call>,
    /// Operations that succeed before one fails.
    pub fail_after: Option<u32>,
    /// A store that another vCPU makes during some operation.
    pub sibling: Option<Sibling>,
    /// Memory before and after such a store.
    pub seen: Vec<Ram>,
}

/// A store by a vCPU that runs between two operations of the server.
#[derive(Clone)]
pub struct Sibling {
    /// Operations before it.
    pub after: u32,
    /// Its memory, address space and the address that it stores through.
    pub ram: Ram,
    pub space: SpaceId,
    pub va: u64,
    pub value: u64,
}

impl Kernel {
    /// Lets the sibling store if its time has come and its mapping allows it.
    fn sibling_runs(&mut self) {
        match &mut self.sibling {
            Some(sibling) if sibling.after > 0 => sibling.after -= 1,
            Some(_) => {
                let Some(sibling) = self.sibling.take() else {
                    return;
                };
                if let Some((gfn, true)) = self.access(sibling.space, Gva::new(sibling.va)) {
                    self.seen.push(sibling.ram.photograph());
                    let gpa = gfn.base().get() | sibling.va & 0xfff;
                    sibling.ram.poke(gpa, sibling.value);
                    self.seen.push(sibling.ram.photograph());
                }
            }
            None => {}
        }
    }

    pub fn new(pools: &Pools) -> Self {
        let table = Table { mapped: None, entries: BTreeMap::new() };
        let pool = |count: u16| vec![table.clone(); usize::from(count)];
        let frames = u64::from(pools.frames);
        let spare = |frame| Some(FrameCap { frame, mapped: None });
        let mut slots: Vec<_> = (0..frames).map(spare).collect();
        slots.resize(slots.len() + pools.extra_copies as usize, None);
        Self {
            frames,
            slots,
            tables: [pool(pools.pts), pool(pools.pds), pool(pools.pdpts), pool(pools.spaces)],
            calls: Vec::new(),
            fail_after: None,
            sibling: None,
            seen: Vec::new(),
        }
    }

    /// All that later operations depend on.
    pub fn fingerprint(&self, state: &mut impl Hasher) {
        self.slots.hash(state);
        self.tables.hash(state);
    }

    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    fn call(&mut self, call: Call) -> Result<(), MapError> {
        self.sibling_runs();
        self.calls.push(call);
        match &mut self.fail_after {
            Some(0) => {
                self.fail_after = None;
                Err(MapError { operation: "injected", status: INJECTED })
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The table of `level` on the path of `va`, as the hardware walks.
    fn table_on_path(&self, space: usize, level: Level, va: u64) -> Option<usize> {
        let mut index = space;
        let mut at = Level::L4;
        while at != level {
            match self.tables[at as usize - 1][index].entries.get(&at.index(Gva::new(va))) {
                Some(Entry::Table(below)) => index = *below,
                _ => return None,
            }
            at = at.below()?;
        }
        Some(index)
    }

    /// The place of an entry, if its table is on the path of `va`: the entries
    /// of that table and the slot.
    fn place(
        &mut self,
        space: usize,
        level: Level,
        va: u64,
    ) -> Option<(&mut BTreeMap<usize, Entry>, usize)> {
        let table = self.table_on_path(space, level, va)?;
        Some((&mut self.tables[level as usize - 1][table].entries, level.index(Gva::new(va))))
    }

    /// What the hardware would do with an access: the frame and W.
    pub fn access(&self, space: SpaceId, gva: Gva) -> Option<(Gfn, bool)> {
        let table = self.table_on_path(space.index(), Level::L1, gva.get())?;
        match *self.tables[0][table].entries.get(&Level::L1.index(gva))? {
            Entry::Page { frame, writable } => Some((Gfn::new(frame), writable)),
            _ => None,
        }
    }

    /// Every page that the hardware can reach: (space, address, frame, W).
    pub fn reachable(&self) -> Vec<(usize, u64, u64, bool)> {
        let mut found = Vec::new();
        for space in 0..self.tables[3].len() {
            self.collect(space, Level::L4, space, 0, &mut found);
        }
        found
    }

    fn collect(
        &self,
        space: usize,
        level: Level,
        index: usize,
        va: u64,
        found: &mut Vec<(usize, u64, u64, bool)>,
    ) {
        for (slot, entry) in self.tables[level as usize - 1][index].entries.iter() {
            let va = va + *slot as u64 * level.span();
            match (*entry, level.below()) {
                (Entry::Table(below), Some(level)) => self.collect(space, level, below, va, found),
                (Entry::Page { frame, writable }, _) => found.push((space, va, frame, writable)),
                _ => {}
            }
        }
    }

    fn unmap_cap(&mut self, slot: usize) {
        let Some(cap) = self.slots[slot] else { return };
        if let Some((space, va)) = cap.mapped
            && let Some((entries, slot)) = self.place(space, Level::L1, va)
            && matches!(entries.get(&slot), Some(Entry::Page { frame, .. }) if *frame == cap.frame)
        {
            entries.remove(&slot);
        }
        self.slots[slot] = Some(FrameCap { mapped: None, ..cap });
    }
}

fn refuse(operation: &'static str, status: u32) -> Result<(), MapError> {
    Err(MapError { operation, status })
}

impl Mappings for Kernel {
    fn map_frame(
        &mut self,
        copy: CopyId,
        space: SpaceId,
        gva: Gva,
        writable: bool,
    ) -> Result<(), MapError> {
        self.call(Call::MapFrame)?;
        let Some(cap) = self.slots[copy.index()] else {
            return refuse("map of no cap", INVALID_CAPABILITY);
        };
        let (space, va) = (space.index(), gva.get());
        assert_eq!(va % 4096, 0, "alignment");
        let Some((entries, slot)) = self.place(space, Level::L1, va) else {
            return refuse("map without a table", FAILED_LOOKUP);
        };
        if entries.contains_key(&slot) {
            return refuse("map over an entry", DELETE_FIRST);
        }
        self.unmap_cap(copy.index());
        let page = Entry::Page { frame: cap.frame, writable };
        if let Some((entries, slot)) = self.place(space, Level::L1, va) {
            entries.insert(slot, page);
        }
        self.slots[copy.index()] = Some(FrameCap { mapped: Some((space, va)), ..cap });
        Ok(())
    }

    fn remap_frame(
        &mut self,
        copy: CopyId,
        space: SpaceId,
        gva: Gva,
        writable: bool,
    ) -> Result<(), MapError> {
        self.call(Call::RemapFrame)?;
        let Some(cap) = self.slots[copy.index()] else {
            return refuse("remap of no cap", INVALID_CAPABILITY);
        };
        let Some((old_space, va)) = cap.mapped else {
            return refuse("remap of an unmapped cap", ILLEGAL_OPERATION);
        };
        if old_space != space.index() {
            return refuse("remap in another space", INVALID_CAPABILITY);
        }
        assert_eq!(va, gva.get(), "the caller's idea of the place");
        let Some((entries, slot)) = self.place(old_space, Level::L1, va) else {
            return refuse("remap without a table", FAILED_LOOKUP);
        };
        let own = |entry: &Entry| matches!(*entry, Entry::Page { frame, .. } if frame == cap.frame);
        assert!(entries.get(&slot).is_none_or(own), "remap over another frame's mapping");
        entries.insert(slot, Entry::Page { frame: cap.frame, writable });
        Ok(())
    }

    fn unmap_frame(&mut self, copy: CopyId) -> Result<(), MapError> {
        self.call(Call::UnmapFrame)?;
        self.unmap_cap(copy.index());
        Ok(())
    }

    fn map_table(&mut self, table: TableId, space: SpaceId, gva: Gva) -> Result<(), MapError> {
        self.call(Call::MapTable(table.level))?;
        let level = table.level as usize - 1;
        if self.tables[level][table.index].mapped.is_some() {
            return refuse("map of a mapped table", INVALID_CAPABILITY);
        }
        assert!(self.tables[level][table.index].entries.is_empty());
        let above = table.level.above().expect("roots are not mapped");
        assert_eq!(gva.get() % above.span(), 0, "alignment");
        let Some((entries, slot)) = self.place(space.index(), above, gva.get()) else {
            return refuse("table without a parent", FAILED_LOOKUP);
        };
        if entries.contains_key(&slot) {
            return refuse("table over an entry", DELETE_FIRST);
        }
        entries.insert(slot, Entry::Table(table.index));
        self.tables[level][table.index].mapped = Some((space.index(), gva.get()));
        Ok(())
    }

    fn unmap_table(&mut self, table: TableId) -> Result<(), MapError> {
        self.call(Call::UnmapTable(table.level))?;
        let level = table.level as usize - 1;
        let Some((space, va)) = self.tables[level][table.index].mapped else {
            return Ok(());
        };
        let above = table.level.above().expect("roots are not unmapped");
        if let Some((entries, slot)) = self.place(space, above, va)
            && entries.get(&slot) == Some(&Entry::Table(table.index))
        {
            entries.remove(&slot);
        }
        let object = &mut self.tables[level][table.index];
        object.mapped = None;
        object.entries.clear();
        Ok(())
    }

    fn copy_frame(&mut self, copy: CopyId, gfn: Gfn) -> Result<(), MapError> {
        self.call(Call::CopyFrame)?;
        assert!(gfn.get() < self.frames, "no such original");
        if self.slots[copy.index()].is_some() {
            return refuse("copy into a full slot", DELETE_FIRST);
        }
        self.slots[copy.index()] = Some(FrameCap { frame: gfn.get(), mapped: None });
        Ok(())
    }

    fn delete_copy(&mut self, copy: CopyId) -> Result<(), MapError> {
        self.call(Call::DeleteCopy)?;
        self.unmap_cap(copy.index());
        self.slots[copy.index()] = None;
        Ok(())
    }

    fn revoke(&mut self, gfn: Gfn) -> Result<(), MapError> {
        self.call(Call::Revoke)?;
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_some_and(|cap| cap.frame == gfn.get()) {
                self.unmap_cap(slot);
                self.slots[slot] = None;
            }
        }
        Ok(())
    }
}
