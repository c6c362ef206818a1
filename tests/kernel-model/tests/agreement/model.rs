//! The model, the operations that it takes, and its answers in the words of
//! the root task.
//!
//! The model refuses by panic what the shadow MMU never asks for, so such
//! operations are not chosen: unmapping through an empty slot, and Remap over
//! the mapping of another frame.

#[path = "../../../../crates/shadow-core/tests/model/kernel.rs"]
#[allow(dead_code)] // the shadow MMU's own tests use the rest
mod kernel;
#[path = "../../../../crates/shadow-core/tests/model/memory.rs"]
#[allow(dead_code)] // part of the model's own interface
mod memory;

use std::fmt::Write as _;

use kernel::Kernel;
use kernel_model::{FRAMES, Kind, Operation, PAGES, SLOTS, SPACES, TABLES, VirtualPage};
use shadow_core::{CopyId, MapError, Mappings, Pools, SpaceId, TableId};
use x86::{Gfn, Gva, Level};

use crate::random::Random;

/// Kinds by how often they are chosen.
const CHOICE: [Kind; 24] = [
    Kind::Map,
    Kind::Map,
    Kind::Map,
    Kind::Map,
    Kind::Map,
    Kind::Map,
    Kind::Remap,
    Kind::Remap,
    Kind::Remap,
    Kind::Unmap,
    Kind::Unmap,
    Kind::Unmap,
    Kind::MapTable,
    Kind::MapTable,
    Kind::MapTable,
    Kind::MapTable,
    Kind::MapTable,
    Kind::UnmapTable,
    Kind::Copy,
    Kind::Copy,
    Kind::Copy,
    Kind::Delete,
    Kind::Revoke,
    Kind::Sweep,
];

/// A copy: its frame, and where it was mapped last.
#[derive(Clone, Copy, Debug)]
struct Copy {
    frame: u8,
    place: Option<(u8, VirtualPage)>,
}

/// The model, and what the chooser of operations has to know.
pub struct Modelled {
    kernel: Kernel,
    copies: [Option<Copy>; SLOTS],
    /// Most operations are here for a while, so that whole paths come about.
    here: (u8, VirtualPage),
    /// Operations to come, last first.
    planned: Vec<Operation>,
}

impl Modelled {
    /// The state in which the root task begins.
    pub fn new() -> Self {
        let frame = |slot| Copy { frame: slot as u8, place: None };
        Self {
            kernel: Kernel::new(&Pools {
                frames: FRAMES as u32,
                extra_copies: (SLOTS - FRAMES) as u32,
                spaces: SPACES as u16,
                pts: TABLES[0] as u16,
                pds: TABLES[1] as u16,
                pdpts: TABLES[2] as u16,
            }),
            copies: std::array::from_fn(|slot| (slot < FRAMES).then(|| frame(slot))),
            here: (0, VirtualPage(0)),
            planned: Vec::new(),
        }
    }

    /// Chooses an operation that the model takes.
    pub fn choose(&mut self, random: &mut Random) -> Operation {
        loop {
            let planned = self.planned.pop();
            let operation = planned.unwrap_or_else(|| self.any(random));
            if self.takes(operation) {
                return operation;
            }
        }
    }

    fn any(&mut self, random: &mut Random) -> Operation {
        let anywhere = (random.below(SPACES), VirtualPage(random.below(PAGES.into())));
        if random.below(16) == 0 {
            self.here = anywhere;
            self.plan_path(random);
        }
        let (space, page) = match random.below(8) {
            0 => anywhere,
            1 | 2 => (self.here.0, VirtualPage(self.here.1.0 ^ 1)), // another entry of the table
            _ => self.here,
        };
        let kind = CHOICE[usize::from(random.below(CHOICE.len()))];
        let level = 1 + random.below(TABLES.len());
        let mut operation = Operation {
            kind,
            object: random.below(SLOTS),
            detail: level,
            space,
            page,
            writable: random.below(2) == 1,
        };
        let place = self.copies[usize::from(operation.object)].and_then(|copy| copy.place);
        match kind {
            Kind::MapTable | Kind::UnmapTable => {
                operation.object = random.below(TABLES[usize::from(level) - 1]);
            }
            Kind::Copy => operation.detail = random.below(FRAMES),
            Kind::Revoke => operation.object = random.below(FRAMES),
            // Probed, and written by Remap, is where the copy was mapped; now
            // and then Remap names another space.
            Kind::Unmap | Kind::Delete | Kind::Remap => {
                if let Some((space, page)) = place {
                    let other = kind == Kind::Remap && random.below(8) == 0;
                    operation.space = if other { operation.space } else { space };
                    operation.page = page;
                }
            }
            Kind::Map if place.is_some() && random.below(4) > 0 => return self.any(random),
            Kind::Map | Kind::Sweep => {}
        }
        operation
    }

    /// Plans to link tables of all levels here, whatever they do now.
    fn plan_path(&mut self, random: &mut Random) {
        let (space, page) = self.here;
        for (level, count) in (1..).zip(TABLES) {
            let unmap = Operation {
                kind: Kind::UnmapTable,
                object: random.below(count),
                detail: level,
                space,
                page,
                writable: false,
            };
            let map = Operation { kind: Kind::MapTable, ..unmap };
            self.planned.extend([map, unmap]);
        }
    }

    fn takes(&self, operation: Operation) -> bool {
        let copy = self.copies.get(usize::from(operation.object)).copied();
        let copy = copy.flatten();
        match (operation.kind, copy) {
            (Kind::Unmap, copy) => copy.is_some(),
            (Kind::Remap, Some(copy)) => {
                let there = self.kernel.access(
                    SpaceId::new(operation.space.into()),
                    Gva::new(operation.page.address()),
                );
                there.is_none_or(|(frame, _)| frame == Gfn::new(copy.frame.into()))
            }
            _ => true,
        }
    }

    /// Carries out an operation and answers as the root task does.
    pub fn carry_out(&mut self, operation: Operation) -> String {
        let result = self.invoke(operation);
        let mut answer = result.map_err(|error| error.status).err().unwrap_or(0).to_string();
        if result.is_ok() {
            self.note(operation);
        }
        let pages = match operation.kind {
            Kind::Sweep => 0..PAGES,
            _ => operation.page.0..operation.page.0 + 1,
        };
        for page in pages.map(VirtualPage) {
            let space = SpaceId::new(operation.space.into());
            let _ = match self.kernel.access(space, Gva::new(page.address())) {
                None => write!(answer, " -"),
                Some((frame, true)) => write!(answer, " {}w", frame.get()),
                Some((frame, false)) => write!(answer, " {}r", frame.get()),
            };
        }
        answer
    }

    fn invoke(&mut self, operation: Operation) -> Result<(), MapError> {
        let copy = CopyId::new(operation.object.into());
        let space = SpaceId::new(operation.space.into());
        let gva = Gva::new(operation.page.address());
        let frame = |number: u8| Gfn::new(number.into());
        let table = |level: u8| TableId {
            level: [Level::L1, Level::L2, Level::L3][usize::from(level) - 1],
            index: operation.object.into(),
        };
        let kernel = &mut self.kernel;
        match operation.kind {
            Kind::Map => kernel.map_frame(copy, space, gva, operation.writable),
            Kind::Remap => kernel.remap_frame(copy, space, gva, operation.writable),
            Kind::Unmap => kernel.unmap_frame(copy),
            Kind::MapTable => {
                let start = operation.page.table_address(operation.detail);
                kernel.map_table(table(operation.detail), space, Gva::new(start))
            }
            Kind::UnmapTable => kernel.unmap_table(table(operation.detail)),
            Kind::Copy => kernel.copy_frame(copy, frame(operation.detail)),
            Kind::Delete => kernel.delete_copy(copy),
            Kind::Revoke => kernel.revoke(frame(operation.object)),
            Kind::Sweep => Ok(()),
        }
    }

    /// Keeps up with a successful operation.
    fn note(&mut self, operation: Operation) {
        let object = usize::from(operation.object);
        match operation.kind {
            Kind::Map => {
                if let Some(copy) = &mut self.copies[object] {
                    copy.place = Some((operation.space, operation.page));
                }
            }
            Kind::Unmap => {
                if let Some(copy) = &mut self.copies[object] {
                    copy.place = None;
                }
            }
            Kind::Copy => {
                self.copies[object] = Some(Copy { frame: operation.detail, place: None });
            }
            Kind::Delete => self.copies[object] = None,
            Kind::Revoke => {
                let of_frame = |copy: &Copy| copy.frame == operation.object;
                for copy in &mut self.copies {
                    *copy = copy.filter(|copy| !of_frame(copy));
                }
            }
            Kind::Remap | Kind::MapTable | Kind::UnmapTable | Kind::Sweep => {}
        }
    }
}
