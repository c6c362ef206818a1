//! Guests: memory, shadow-server, vmm, vCPU threads.
//!
//! The frames of a guest are made in its server's CNode. The root task fills
//! the ones that the image has bytes for and then maps all of them in the
//! server's window; nothing of one guest lies in any CNode of another.

use protocol::badge;
use protocol::startup::{MAX_READ_ONLY, Startup};
use sel4::{
    AbsoluteCPtr, CNodeCapData, CPtr, CapRights, ObjectBlueprint, SchedParams, TcbConfiguration,
    cap, init_thread,
};
use system::address_map::{self, BOUNCE_PAGES};
use system::compiled::{GUEST_PRIORITIES, Guest, PatchKind, Platform, ProgramKind};
use system::cspace::{self, Pools, ServerSlots, Slots};
use zerocopy::IntoBytes;

use crate::address_space::AddressSpace;
use crate::cspace::CSpace;
use crate::drivers::Drivers;
use crate::error::{BuildError, Named};
use crate::names;
use crate::process::{Plan, Process, Workshop, startup};
use crate::scratch::FRAME_BYTES;
use crate::start;

/// A guest that was built.
pub struct Built {
    /// Its shadow-server.
    pub server: Process,
    /// Its vmm.
    pub vmm: Process,
    /// Frames of its trace, which are mapped in the server: the first slot, and how many.
    pub trace: (u64, u64),
    /// Its vCPU threads.
    pub vcpus: heapless::Vec<cap::Tcb, { address_map::MAX_VCPUS }>,
}

/// Number of the shadow-server of guest number `guest`; its vmm comes next.
pub const fn server_number(guest: usize) -> usize {
    2 + 2 * guest
}

/// A guest under construction.
struct Site<'w, 'a> {
    workshop: &'w mut Workshop<'a>,
    index: usize,
    guest: &'w Guest,
    slots: ServerSlots,
    cnode: cap::CNode,
    radix: u32,
}

/// Builds guest number `index`; nothing of it runs yet.
///
/// # Errors
/// [`BuildError`]; what was built until then stays behind, unused.
pub fn build(
    workshop: &mut Workshop<'_>,
    index: usize,
    guest: &Guest,
    drivers: &Drivers,
) -> Result<Built, BuildError> {
    check(guest)?;
    let slots = ServerSlots::new(&guest.pools);
    let radix = slots.radix();
    let cnode = workshop.cnode(radix)?;
    workshop.stores.cspace.attach(index, cnode, radix)?;
    let mut site = Site { workshop, index, guest, slots, cnode, radix };
    site.objects()?;
    let server_endpoint = site.workshop.stores.make(&ObjectBlueprint::Endpoint)?.cast();
    let server = site.server(server_endpoint)?;
    let trace = site.trace(server.address_space)?;
    site.memory(server.address_space)?;
    let vmm = site.vmm(&server, server_endpoint, drivers)?;
    site.bounce(server.address_space, vmm.address_space)?;
    let vcpus = site.vcpus(server.address_space, server_endpoint)?;
    Ok(Built { server, vmm, trace, vcpus })
}

/// What the host has checked already, checked again: it shapes loops here.
fn check(guest: &Guest) -> Result<(), BuildError> {
    let Pools { frames, .. } = guest.pools;
    if guest.memory_bytes != u64::from(frames) * FRAME_BYTES as u64
        || guest.memory_bytes > address_map::WINDOW_LIMIT
    {
        return Err(BuildError::Archive("a guest's memory and frames disagree"));
    }
    if guest.metadata_bytes > address_map::METADATA_LIMIT {
        return Err(BuildError::Archive("a guest's metadata is too large"));
    }
    if guest.trace > address_map::MAX_TRACE {
        return Err(BuildError::Archive("a guest's trace is too large"));
    }
    if !GUEST_PRIORITIES.contains(&guest.priority) {
        return Err(BuildError::Archive("a guest has a priority that is not a guest's"));
    }
    if guest.vcpus == 0 || guest.vcpus as usize > address_map::MAX_VCPUS {
        return Err(BuildError::Archive("a guest has no vCPU, or too many"));
    }
    Ok(())
}

impl Site<'_, '_> {
    fn server_cnode(&self) -> AbsoluteCPtr {
        self.cnode.absolute_cptr_for_self()
    }

    fn place(&self, slot: u64) -> AbsoluteCPtr {
        self.workshop.place(self.cnode, self.radix, slot)
    }

    fn fill(&mut self, slots: Slots, blueprint: ObjectBlueprint) -> Result<(), BuildError> {
        let into = self.server_cnode();
        self.workshop.stores.memory.make(&blueprint, &into, slots.first, slots.count)
    }

    /// Paging objects, frames and their copies, in the server's CNode.
    fn objects(&mut self) -> Result<(), BuildError> {
        self.fill(self.slots.originals, ObjectBlueprint::_4k)?;
        self.fill(self.slots.pts, ObjectBlueprint::PageTable)?;
        self.fill(self.slots.pds, ObjectBlueprint::PageDirectory)?;
        self.fill(self.slots.pdpts, ObjectBlueprint::PDPT)?;
        self.fill(self.slots.spaces, ObjectBlueprint::PML4)?;
        for space in 0..self.slots.spaces.count {
            let root = CSpace::in_server(self.index, self.slots.spaces.first + space).cast();
            init_thread::slot::ASID_POOL
                .asid_pool_assign(root)
                .named("assignment of an address space identifier")?;
        }
        for frame in 0..self.slots.originals.count {
            self.place(self.slots.copies.first + frame)
                .copy(&self.place(self.slots.originals.first + frame), CapRights::all())
                .named("copy of a frame capability")?;
        }
        Ok(())
    }

    fn original(&self, gfn: u64) -> Result<cap::Granule, BuildError> {
        let slot = self
            .slots
            .originals
            .get(gfn)
            .ok_or(BuildError::Archive("a guest's image leaves its memory"))?;
        Ok(CSpace::in_server(self.index, slot).cast())
    }

    /// Copies the image in, patches it, and maps every frame in the window.
    fn memory(&mut self, window: AddressSpace) -> Result<(), BuildError> {
        self.loads()?;
        self.patches()?;
        for gfn in 0..self.slots.originals.count {
            let address = address_map::WINDOW + gfn * FRAME_BYTES as u64;
            let frame = self.original(gfn)?;
            self.workshop.map(window, frame, address, true)?;
        }
        Ok(())
    }

    fn loads(&mut self) -> Result<(), BuildError> {
        let archive = self.workshop.archive;
        for load in archive.loads_of(self.guest) {
            let first = load.gpa / FRAME_BYTES as u64;
            for (page, bytes) in archive.load_bytes(load).chunks(FRAME_BYTES).enumerate() {
                let frame = self.original(first + page as u64)?;
                let Workshop { scratch, stores, .. } = &mut *self.workshop;
                scratch.with(frame, stores, |frame| frame[..bytes.len()].copy_from_slice(bytes))?;
            }
        }
        Ok(())
    }

    fn patches(&mut self) -> Result<(), BuildError> {
        for patch in self.workshop.archive.patches_of(self.guest) {
            if patch.kind != PatchKind::TscHz as u32 {
                return Err(BuildError::Archive("a patch of unknown kind"));
            }
            let value = self.workshop.tsc_hz.to_le_bytes();
            let offset = patch.gpa as usize % FRAME_BYTES;
            let frame = self.original(patch.gpa / FRAME_BYTES as u64)?;
            let Workshop { scratch, stores, .. } = &mut *self.workshop;
            let done = scratch.with(frame, stores, |frame| {
                frame.get_mut(offset..offset + 8).map(|word| word.copy_from_slice(&value))
            })?;
            done.ok_or(BuildError::Archive("a patch that is not aligned"))?;
        }
        Ok(())
    }

    /// What the startup pages of server and vmm tell about the guest.
    fn startup(&self, program: ProgramKind) -> Startup {
        let mut startup = startup(names::process(program, Some(self.guest)));
        startup.memory_bytes = self.guest.memory_bytes;
        startup.metadata_bytes = self.guest.metadata_bytes;
        startup.platform = self.guest.platform;
        startup.vcpus = self.guest.vcpus;
        startup.pools = self.guest.pools;
        startup.trace = self.guest.trace;
        startup.audit = self.guest.audit;
        startup.budget = self.guest.budget;
        startup.start = self.guest.start;
        startup.secondary = self.guest.secondary;
        startup
    }

    fn server(&mut self, endpoint: cap::Endpoint) -> Result<Process, BuildError> {
        let mut startup = self.startup(ProgramKind::ShadowServer);
        let ranges = self.workshop.archive.read_only_of(self.guest);
        if ranges.len() > MAX_READ_ONLY {
            return Err(BuildError::Archive("a guest has too many read-only ranges"));
        }
        startup.read_only[..ranges.len()].copy_from_slice(ranges);
        startup.read_only_count = ranges.len() as u32;
        startup.rewrites = self.guest.rewrites.count;
        self.place(cspace::process::ENDPOINT)
            .copy(&CSpace::slot(endpoint.cptr()), CapRights::read_only())
            .named("copy of a server's endpoint")?;
        let server = self.workshop.process(&Plan {
            program: ProgramKind::ShadowServer,
            number: server_number(self.index),
            guest: Some(self.index),
            cnode: (self.cnode, self.radix),
            priority: self.guest.priority as u8,
            // To stop a running vCPU, it raises itself above its guest.
            highest_priority: self.guest.priority as u8 + 1,
            startup: &startup,
        })?;
        let pages = self.guest.metadata_bytes.div_ceil(FRAME_BYTES as u64);
        for page in 0..pages {
            let frame = self.workshop.empty_frame()?;
            let address = address_map::METADATA + page * FRAME_BYTES as u64;
            self.workshop.map(server.address_space, frame, address, true)?;
        }
        self.rewrites(server.address_space)?;
        Ok(server)
    }

    /// Pages for the records of page faults.
    fn trace(&mut self, server: AddressSpace) -> Result<(u64, u64), BuildError> {
        let pages = address_map::trace_bytes(self.guest.trace) / FRAME_BYTES as u64;
        let first = self.workshop.stores.cspace.take(pages)?;
        let into = init_thread::slot::CNODE.absolute_cptr_for_self();
        self.workshop.stores.memory.make(&ObjectBlueprint::_4k, &into, first, pages)?;
        for page in 0..pages {
            let frame = CPtr::from_bits(first + page).cast();
            let address = address_map::TRACE + page * FRAME_BYTES as u64;
            self.workshop.map(server, frame, address, true)?;
        }
        Ok((first, pages))
    }

    /// Copies the table of rewritten instructions into pages that the server
    /// can only read.
    fn rewrites(&mut self, server: AddressSpace) -> Result<(), BuildError> {
        let table = self.workshop.archive.rewrites_of(self.guest).as_bytes();
        if table.len() as u64 > address_map::REWRITES_LIMIT {
            return Err(BuildError::Archive("a guest has too many rewritten instructions"));
        }
        for (page, bytes) in table.chunks(FRAME_BYTES).enumerate() {
            let frame = self.workshop.frame(|frame| frame[..bytes.len()].copy_from_slice(bytes))?;
            let address = address_map::REWRITES + (page * FRAME_BYTES) as u64;
            self.workshop.map(server, frame, address, false)?;
        }
        Ok(())
    }

    fn vmm(
        &mut self,
        server_process: &Process,
        server: cap::Endpoint,
        drivers: &Drivers,
    ) -> Result<Process, BuildError> {
        let startup = self.startup(ProgramKind::Vmm);
        let number = server_number(self.index) + 1;
        let radix = cspace::vmm::RADIX;
        let cnode = self.workshop.cnode(radix)?;
        let call = CapRights::new(true, false, true);
        let endpoints = [
            (cspace::vmm::SERVER, server, badge::VMM),
            (cspace::vmm::CONSOLE, drivers.console_endpoint, badge::client(number)),
            (cspace::vmm::TIMER, drivers.timer_endpoint, badge::client(number)),
        ];
        for (slot, endpoint, badge) in endpoints {
            self.workshop
                .place(cnode, radix, slot)
                .mint(&CSpace::slot(endpoint.cptr()), call, badge)
                .named("mint of an endpoint for a vmm")?;
        }
        if self.guest.platform == Platform::Pc64 as u32 {
            drivers.connect_to_server(self.workshop, number, server_process.tcb)?;
        } else {
            drivers.connect_timer(self.workshop, number, cnode, radix)?;
        }
        self.workshop.process(&Plan {
            program: ProgramKind::Vmm,
            number,
            guest: Some(self.index),
            cnode: (cnode, radix),
            priority: self.guest.priority as u8,
            highest_priority: self.guest.priority as u8,
            startup: &startup,
        })
    }

    /// Pages that server and vmm share.
    fn bounce(&mut self, server: AddressSpace, vmm: AddressSpace) -> Result<(), BuildError> {
        for page in 0..BOUNCE_PAGES {
            let address = address_map::BOUNCE + page * FRAME_BYTES as u64;
            let frame = self.workshop.empty_frame()?;
            let shared = self.workshop.copy_of(frame)?;
            self.workshop.map(server, frame, address, true)?;
            self.workshop.map(vmm, shared, address, true)?;
        }
        Ok(())
    }

    /// vCPU threads, with their state pages in the server's address space.
    fn vcpus(
        &mut self,
        server: AddressSpace,
        endpoint: cap::Endpoint,
    ) -> Result<heapless::Vec<cap::Tcb, { address_map::MAX_VCPUS }>, BuildError> {
        let mut vcpus = heapless::Vec::new();
        for number in 0..self.guest.vcpus as usize {
            let tcb = self.vcpu(number, endpoint)?;
            self.state_page(number, server)?;
            // `check` keeps the number within the capacity.
            let _ = vcpus.push(tcb);
        }
        Ok(vcpus)
    }

    fn vcpu(&mut self, number: usize, endpoint: cap::Endpoint) -> Result<cap::Tcb, BuildError> {
        let radix = cspace::vcpu::RADIX;
        let cnode = self.workshop.cnode(radix)?;
        self.workshop
            .place(cnode, radix, cspace::vcpu::FAULT_ENDPOINT)
            .mint(&CSpace::slot(endpoint.cptr()), CapRights::fault_endpoint(), badge::vcpu(number))
            .named("mint of a vCPU's fault endpoint")?;
        self.place(self.slots.vcpu_cnodes.first + number as u64)
            .mint_cnode(&CSpace::slot(cnode.cptr()), CNodeCapData::skip(64 - radix as usize))
            .named("mint of a vCPU's CNode")?;
        let slot = self.slots.vcpus.first + number as u64;
        let into = self.server_cnode();
        self.workshop.stores.memory.make(&ObjectBlueprint::Tcb, &into, slot, 1)?;
        let tcb: cap::Tcb = CSpace::in_server(self.index, slot).cast();
        let space = CSpace::in_server(self.index, self.slots.spaces.first).cast();
        tcb.tcb_configure(&TcbConfiguration {
            fault_ep: CPtr::from_bits(cspace::vcpu::FAULT_ENDPOINT),
            cspace_root: cnode,
            cspace_root_data: Some(CNodeCapData::skip(64 - radix as usize)),
            vspace_root: space,
            ipc_buffer: None,
            authority: init_thread::slot::TCB,
            sched: SchedParams { mcp: 0, priority: self.guest.priority as u8 },
        })
        .named("configuration of a vCPU")?;
        Ok(tcb)
    }

    fn state_page(&mut self, number: usize, server: AddressSpace) -> Result<(), BuildError> {
        let state = start::initial_state(self.guest, number);
        let bytes = state.as_bytes();
        let frame = self.workshop.frame(|page| page[..bytes.len()].copy_from_slice(bytes))?;
        let shared = self.workshop.copy_of(frame)?;
        let address = address_map::VCPU_STATE + (number * FRAME_BYTES) as u64;
        self.workshop.map(server, shared, address, true)
    }
}
