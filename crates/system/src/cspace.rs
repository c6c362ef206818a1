//! Which capability lies in which slot: one table for the builder, the
//! processes, the audit and the documentation.
//!
//! Every process has a single-level CSpace: one CNode whose guard fills the
//! rest of the 64 bits, so that a slot number is a capability address.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address_map::MAX_VCPUS;

/// Slots that every process has (a process may leave some empty).
pub mod process {
    /// Where this process receives: faults and requests of a shadow-server,
    /// requests of a driver; empty in a vmm.
    pub const ENDPOINT: u64 = 1;
    /// The supervisor, to report to (send and grant-free call, badged).
    pub const SUPERVISOR: u64 = 2;
    /// The process's own TCB, to set its own priority.
    pub const OWN_TCB: u64 = 3;
    /// The process's own CNode, for copies, revocation and saved replies.
    pub const OWN_CNODE: u64 = 4;
    /// The notification bound to the process's TCB.
    pub const NOTIFICATION: u64 = 5;
    /// The fault endpoint: where the kernel reports the process's faults.
    pub const FAULT_ENDPOINT: u64 = 6;
}

/// Slots of a vmm beyond [`process`].
pub mod vmm {
    /// The guest's shadow-server.
    pub const SERVER: u64 = 8;
    /// The console driver.
    pub const CONSOLE: u64 = 9;
    /// The timer driver.
    pub const TIMER: u64 = 10;
    /// log2 of the CNode's slots.
    pub const RADIX: u32 = 5;
}

/// Slots of the drivers beyond [`process`].
pub mod driver {
    /// First I/O port capability: COM1 of the console, the PIT of the timer.
    pub const PORTS_A: u64 = 8;
    /// Second I/O port capability: COM2 of the console, the RTC of the timer.
    pub const PORTS_B: u64 = 9;
    /// The IRQ handler of the driver's device.
    pub const IRQ: u64 = 10;
    /// First notification of the driver's clients, by process number. The
    /// console has those of pc64 guests only.
    pub const CLIENTS: u64 = 32;
    /// log2 of the CNode's slots.
    pub const RADIX: u32 = 9;
    /// Most clients of the timer.
    pub const MAX_CLIENTS: u64 = (1 << RADIX) - CLIENTS;
}

/// Slots of a vCPU thread: nothing but where its faults go.
pub mod vcpu {
    /// The shadow-server's endpoint, send and grant, badged with the vCPU.
    pub const FAULT_ENDPOINT: u64 = 1;
    /// log2 of the CNode's slots.
    pub const RADIX: u32 = 1;
}

/// How many paging objects and frame caps a shadow-server owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pools {
    /// Guest frames of 4 KiB.
    pub frames: u32,
    /// Address spaces (PML4 objects).
    pub spaces: u32,
    /// Page-directory-pointer tables.
    pub pdpts: u32,
    /// Page directories.
    pub pds: u32,
    /// Page tables.
    pub pts: u32,
    /// Frame-cap copies beyond the one that every frame has.
    pub extra_copies: u32,
}

/// A run of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The first slot.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Slots {
    const fn after(previous: Self, count: u32) -> Self {
        Self { first: previous.first + previous.count, count: count as u64 }
    }

    /// Slot number `index` of the run, or `None` past its end.
    pub const fn get(self, index: u64) -> Option<u64> {
        if index < self.count { Some(self.first + index) } else { None }
    }
}

/// The slots of a shadow-server beyond [`process`], as a function of its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSlots {
    /// TCBs of the vCPUs.
    pub vcpus: Slots,
    /// CNodes of the vCPUs, to move a vCPU to another address space.
    pub vcpu_cnodes: Slots,
    /// Replies parked until a vCPU exits.
    pub replies: Slots,
    /// PML4 objects.
    pub spaces: Slots,
    /// Page-directory-pointer tables.
    pub pdpts: Slots,
    /// Page directories.
    pub pds: Slots,
    /// Page tables.
    pub pts: Slots,
    /// Original frame caps, by gfn, mapped in the window.
    pub originals: Slots,
    /// The copy that every frame has, by gfn.
    pub copies: Slots,
    /// Copies drawn by frames that need more than one.
    pub extra_copies: Slots,
}

impl ServerSlots {
    /// The layout for `pools`.
    pub const fn new(pools: &Pools) -> Self {
        let vcpus = Slots { first: 8, count: MAX_VCPUS as u64 };
        let vcpu_cnodes = Slots::after(vcpus, MAX_VCPUS as u32);
        let replies = Slots::after(vcpu_cnodes, MAX_VCPUS as u32);
        let spaces = Slots::after(replies, pools.spaces);
        let pdpts = Slots::after(spaces, pools.pdpts);
        let pds = Slots::after(pdpts, pools.pds);
        let pts = Slots::after(pds, pools.pts);
        let originals = Slots::after(pts, pools.frames);
        let copies = Slots::after(originals, pools.frames);
        let extra_copies = Slots::after(copies, pools.extra_copies);
        Self {
            vcpus,
            vcpu_cnodes,
            replies,
            spaces,
            pdpts,
            pds,
            pts,
            originals,
            copies,
            extra_copies,
        }
    }

    /// log2 of the slots that the CNode needs.
    pub const fn radix(&self) -> u32 {
        let slots = self.extra_copies.first + self.extra_copies.count;
        slots.next_power_of_two().trailing_zeros()
    }

    /// Every run with its name, in ascending order, for documentation and audit.
    pub const fn runs(&self) -> [(&'static str, Slots); 10] {
        [
            ("vCPU TCBs", self.vcpus),
            ("vCPU CNodes", self.vcpu_cnodes),
            ("parked replies", self.replies),
            ("address spaces", self.spaces),
            ("page-directory-pointer tables", self.pdpts),
            ("page directories", self.pds),
            ("page tables", self.pts),
            ("original frames", self.originals),
            ("frame copies", self.copies),
            ("extra frame copies", self.extra_copies),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOLS: Pools =
        Pools { frames: 8192, spaces: 16, pdpts: 32, pds: 64, pts: 512, extra_copies: 1024 };

    #[test]
    fn runs_follow_each_other() {
        let runs = ServerSlots::new(&POOLS).runs();
        for pair in runs.windows(2) {
            assert_eq!(pair[0].1.first + pair[0].1.count, pair[1].1.first);
        }
        assert!(runs[0].1.first > process::FAULT_ENDPOINT);
    }

    #[test]
    fn radix_covers_every_slot() {
        let slots = ServerSlots::new(&POOLS);
        let end = slots.extra_copies.first + slots.extra_copies.count;
        assert!(end <= 1 << slots.radix());
        assert!(end > 1 << (slots.radix() - 1));
    }
}
