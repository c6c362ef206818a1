//! E12: mapping a frame cap that is mapped elsewhere moves it.

use sel4::{CapRights, ObjectBlueprint, VmAttributes, cap, init_thread};

use crate::bare::lab::Lab;
use crate::bare::probes::e01_unmap::{readable, unreadable};
use crate::bare::subject::Subject;
use crate::bare::verdict::Seen;
use crate::require;

pub fn probe(lab: &mut Lab) -> Seen {
    let subject = Subject::guest(lab);
    let frame: cap::Granule = lab.make(ObjectBlueprint::_4k);
    let first = lab.map(frame);
    readable(&subject, first)?;
    let second = lab.address();
    let moved = frame.frame_map(
        init_thread::slot::VSPACE,
        second,
        CapRights::read_write(),
        VmAttributes::DEFAULT,
    );
    require!(moved.is_ok(), "a mapped cap: {moved:?}");
    unreadable(&subject, first, "moved")?;
    readable(&subject, second)
}
