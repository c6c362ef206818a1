//! What can happen to a tiny guest.

use shadow_core::Access;

use crate::setups::{Setup, Twists};

/// One event. vCPUs, pages and entries are numbers in the [`Setup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A vCPU accesses a page until it may, or is told a fault.
    Access {
        /// The vCPU.
        vcpu: usize,
        /// The page.
        page: usize,
        /// Whether it writes.
        write: bool,
    },
    /// A vCPU stores a value in an entry of a table, through the direct map.
    Store {
        /// The vCPU.
        vcpu: usize,
        /// The entry.
        entry: usize,
        /// Which of its values.
        value: usize,
    },
    /// One instruction, fetched from a page, stores a value in an entry through
    /// another page that maps the table.
    Instruction {
        /// The vCPU.
        vcpu: usize,
        /// The page that holds the instruction.
        code: usize,
        /// The page that it writes to.
        data: usize,
        /// The entry.
        entry: usize,
        /// Which of its values.
        value: usize,
    },
    /// A server or device stores a value in an entry.
    ServerWrite {
        /// The entry.
        entry: usize,
        /// Which of its values.
        value: usize,
    },
    /// INVLPG.
    Invlpg {
        /// The vCPU.
        vcpu: usize,
        /// The page.
        page: usize,
    },
    /// MOV CR3.
    LoadCr3 {
        /// The vCPU.
        vcpu: usize,
        /// Which root.
        root: usize,
    },
    /// CPL changes.
    User {
        /// The vCPU.
        vcpu: usize,
        /// Whether to CPL 3.
        user: bool,
    },
    /// A frame must vanish from all spaces.
    Vanish {
        /// The frame.
        frame: u64,
    },
}

/// What else happens during an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// Nothing.
    None,
    /// The kernel refuses the operation after so many; the request is repeated.
    Refusal {
        /// Operations that succeed first.
        after: u32,
    },
    /// The other vCPU stores a value in an entry, if its mapping lets it,
    /// between two operations of the server.
    Sibling {
        /// Operations before.
        after: u32,
        /// The entry.
        entry: usize,
        /// Which of its values.
        value: usize,
    },
}

/// An event with its twist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The event.
    pub event: Event,
    /// The twist.
    pub twist: Twist,
}

impl Event {
    /// The vCPU that causes it, if one does.
    pub const fn vcpu(self) -> Option<usize> {
        match self {
            Self::Access { vcpu, .. }
            | Self::Store { vcpu, .. }
            | Self::Instruction { vcpu, .. }
            | Self::Invlpg { vcpu, .. }
            | Self::LoadCr3 { vcpu, .. }
            | Self::User { vcpu, .. } => Some(vcpu),
            Self::ServerWrite { .. } | Self::Vanish { .. } => None,
        }
    }
}

/// The access that a `write` flag means.
pub const fn access(write: bool) -> Access {
    if write { Access::Write } else { Access::Read }
}

/// All steps of a setup, always in the same order.
pub fn all(setup: &Setup) -> Vec<Step> {
    let events =
        (0..setup.vcpus).flat_map(|vcpu| events_of(setup, vcpu)).chain(events_of_others(setup));
    events.flat_map(|event| twisted(setup, event)).collect()
}

fn values(setup: &Setup) -> impl Iterator<Item = (usize, usize)> {
    let entries = setup.entries.iter().enumerate();
    entries.flat_map(|(entry, (_, values))| (0..values.len()).map(move |value| (entry, value)))
}

fn events_of(setup: &Setup, vcpu: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for page in 0..setup.pages.len() {
        for &write in setup.writes {
            events.push(Event::Access { vcpu, page, write });
        }
        if setup.invlpg {
            events.push(Event::Invlpg { vcpu, page });
        }
    }
    for (entry, value) in values(setup) {
        events.push(match setup.instruction {
            Some((code, data)) => Event::Instruction { vcpu, code, data, entry, value },
            None => Event::Store { vcpu, entry, value },
        });
    }
    events.extend((0..setup.roots.len()).map(|root| Event::LoadCr3 { vcpu, root }));
    if setup.views {
        events.extend([false, true].map(|user| Event::User { vcpu, user }));
    }
    events
}

fn events_of_others(setup: &Setup) -> Vec<Event> {
    let vanish = setup.vanish.iter().map(|&frame| Event::Vanish { frame });
    let writes = values(setup).filter(|_| setup.server_writes);
    let writes = writes.map(|(entry, value)| Event::ServerWrite { entry, value });
    vanish.chain(writes).collect()
}

fn twisted(setup: &Setup, event: Event) -> Vec<Step> {
    let mut twists = vec![Twist::None];
    match setup.twists {
        Twists::None => {}
        Twists::Refusals(most) => twists.extend((0..most).map(|after| Twist::Refusal { after })),
        Twists::Siblings(most) if event.vcpu().is_some() => {
            let stores = values(setup);
            twists.extend(stores.flat_map(|(entry, value)| {
                (0..most).map(move |after| Twist::Sibling { after, entry, value })
            }));
        }
        Twists::Siblings(_) => {}
    }
    let step = |twist| Step { event, twist };
    twists.into_iter().map(step).collect()
}
