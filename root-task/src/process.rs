//! Processes: image, stack, IPC buffer, startup page, thread.

use protocol::badge::Sender;
use protocol::startup::Startup;
use sel4::{
    CNodeCapData, CPtr, CapRights, ObjectBlueprint, SchedParams, TcbConfiguration, UserContext,
    cap, init_thread,
};
use system::address_map;
use system::compiled::{Archive, Program, ProgramKind, Segment};
use system::cspace::process;
use system::name::Name;
use zerocopy::IntoBytes;

use crate::address_space::{AddressSpace, Stores};
use crate::cspace::CSpace;
use crate::error::{BuildError, Named};
use crate::scratch::{FRAME_BYTES, Scratch};

/// Everything that building uses up or works with.
pub struct Workshop<'a> {
    /// The composed image.
    pub archive: Archive<'a>,
    /// Memory and slots.
    pub stores: Stores,
    /// The scratch page.
    pub scratch: Scratch,
    /// Where all processes' faults and reports arrive.
    pub supervisor: cap::Endpoint,
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// An empty slot for capabilities that are needed for a moment.
    pub spare: CPtr,
}

/// A process as the supervisor knows it.
#[derive(Clone, Copy)]
pub struct Process {
    /// What people call it: the program, and the guest if it serves one.
    pub program: ProgramKind,
    /// Its guest's index, if it serves one.
    pub guest: Option<usize>,
    /// Its thread.
    pub tcb: cap::Tcb,
    /// Its address space.
    pub address_space: AddressSpace,
    /// First slot of its stack's frames, lowest page first.
    stack: u64,
    /// Pages of its stack.
    stack_pages: u64,
    /// A spare capability to its counters' frame, not mapped anywhere.
    pub counters: cap::Granule,
}

/// What a new process is to be.
pub struct Plan<'a> {
    /// The program.
    pub program: ProgramKind,
    /// Its number, as in badges.
    pub number: usize,
    /// Its guest's index, if it serves one.
    pub guest: Option<usize>,
    /// Its CNode and log2 of its slots.
    pub cnode: (cap::CNode, u32),
    /// Its scheduling priority.
    pub priority: u8,
    /// The highest priority that it may give to itself.
    pub highest_priority: u8,
    /// What its startup page tells it; number and time base are filled in.
    pub startup: &'a Startup,
}

/// A startup page that says nothing but who the process is.
pub fn startup(name: Name) -> Startup {
    let mut startup = <Startup as zerocopy::FromZeros>::new_zeroed();
    startup.version = protocol::VERSION;
    startup.name = name;
    startup
}

impl Workshop<'_> {
    /// Makes a frame and lets `fill` write it.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out.
    pub fn frame(
        &mut self,
        fill: impl FnOnce(&mut [u8; FRAME_BYTES]),
    ) -> Result<cap::Granule, BuildError> {
        let frame = self.empty_frame()?;
        self.scratch.with(frame, &mut self.stores, fill)?;
        Ok(frame)
    }

    /// Makes a frame of zeros.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out.
    pub fn empty_frame(&mut self) -> Result<cap::Granule, BuildError> {
        Ok(self.stores.make(&ObjectBlueprint::_4k)?.cast())
    }

    /// Another capability to the frame behind `original`.
    ///
    /// # Errors
    /// [`BuildError`] if slots run out.
    pub fn copy_of(&mut self, original: cap::Granule) -> Result<cap::Granule, BuildError> {
        let slot = CPtr::from_bits(self.stores.cspace.take(1)?);
        CSpace::slot(slot)
            .copy(&CSpace::slot(original.cptr()), CapRights::all())
            .named("copy of a frame capability")?;
        Ok(slot.cast())
    }

    /// Lets `look` see the bytes of a frame that is mapped elsewhere; `None` if
    /// the kernel refuses.
    pub fn peek<T>(
        &mut self,
        frame: cap::Granule,
        look: impl FnOnce(&[u8; FRAME_BYTES]) -> T,
    ) -> Option<T> {
        let spare = CSpace::slot(self.spare);
        spare.copy(&CSpace::slot(frame.cptr()), CapRights::all()).ok()?;
        let seen = self.scratch.with(self.spare.cast(), &mut self.stores, |bytes| look(bytes));
        // The slot holds the copy that was just made.
        let _ = spare.delete();
        seen.ok()
    }

    /// A capability to `endpoint` for the root task itself, with a badge.
    ///
    /// # Errors
    /// [`BuildError`] if slots run out.
    pub fn badged(
        &mut self,
        endpoint: cap::Endpoint,
        badge: u64,
    ) -> Result<cap::Endpoint, BuildError> {
        let slot = CPtr::from_bits(self.stores.cspace.take(1)?);
        CSpace::slot(slot)
            .mint(&CSpace::slot(endpoint.cptr()), CapRights::all(), badge)
            .named("mint of an endpoint")?;
        Ok(slot.cast())
    }

    /// Makes a CNode of 2^`radix` slots.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out.
    pub fn cnode(&mut self, radix: u32) -> Result<cap::CNode, BuildError> {
        let blueprint = ObjectBlueprint::CNode { size_bits: radix as usize };
        Ok(self.stores.make(&blueprint)?.cast())
    }

    /// Builds a process; it does not run yet.
    ///
    /// # Errors
    /// [`BuildError`]; objects made until then stay behind, unused.
    pub fn process(&mut self, plan: &Plan<'_>) -> Result<Process, BuildError> {
        let index = plan.program as usize;
        let program =
            *self.archive.programs.get(index).ok_or(BuildError::Archive("a program is missing"))?;
        let address_space = AddressSpace::new(&mut self.stores)?;
        for segment in self.archive.segments_of(&program) {
            self.segment(segment, address_space)?;
        }
        let stack = self.stack(&program, address_space)?;
        let ipc_buffer = self.empty_frame()?;
        self.map(address_space, ipc_buffer, address_map::IPC_BUFFER, true)?;
        let counters = self.empty_frame()?;
        self.map(address_space, counters, address_map::COUNTERS, true)?;
        let counters = self.copy_of(counters)?;
        self.startup_page(plan, address_space)?;
        let tcb = self.thread(plan, address_space, ipc_buffer, program.entry)?;
        Ok(Process {
            program: plan.program,
            guest: plan.guest,
            tcb,
            address_space,
            stack,
            stack_pages: u64::from(program.stack_pages),
            counters,
        })
    }

    /// Maps `frame` in a process.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out.
    pub fn map(
        &mut self,
        address_space: AddressSpace,
        frame: cap::Granule,
        address: u64,
        writable: bool,
    ) -> Result<(), BuildError> {
        let rights = if writable { CapRights::read_write() } else { CapRights::read_only() };
        address_space.map(frame, address, rights, &mut self.stores)
    }

    fn segment(
        &mut self,
        segment: &Segment,
        address_space: AddressSpace,
    ) -> Result<(), BuildError> {
        let bytes = self.archive.segment_bytes(segment);
        let pages = segment.memory_bytes.div_ceil(FRAME_BYTES as u64);
        for page in 0..pages {
            let start = (page as usize * FRAME_BYTES).min(bytes.len());
            let end = (start + FRAME_BYTES).min(bytes.len());
            let content = &bytes[start..end];
            let frame = self.frame(|page| page[..content.len()].copy_from_slice(content))?;
            let address = segment.address + page * FRAME_BYTES as u64;
            self.map(address_space, frame, address, segment.writable != 0)?;
        }
        Ok(())
    }

    /// Stack pages below [`address_map::STACK_TOP`]; the page below them stays
    /// unmapped.
    fn stack(&mut self, program: &Program, address_space: AddressSpace) -> Result<u64, BuildError> {
        let pages = u64::from(program.stack_pages);
        let first = self.stores.cspace.take(pages)?;
        let into = init_thread::slot::CNODE.absolute_cptr_for_self();
        let blueprint = ObjectBlueprint::_4k;
        self.stores.memory.make(&blueprint, &into, first, pages)?;
        for page in 0..pages {
            let address = address_map::STACK_TOP - (pages - page) * FRAME_BYTES as u64;
            self.map(address_space, CPtr::from_bits(first + page).cast(), address, true)?;
        }
        Ok(first)
    }

    fn startup_page(
        &mut self,
        plan: &Plan<'_>,
        address_space: AddressSpace,
    ) -> Result<(), BuildError> {
        let startup = Startup {
            process: plan.number as u32,
            tsc_hz: self.tsc_hz,
            priority: u32::from(plan.priority),
            ..*plan.startup
        };
        let bytes = startup.as_bytes();
        let frame = self.frame(|page| page[..bytes.len()].copy_from_slice(bytes))?;
        self.map(address_space, frame, address_map::STARTUP, false)
    }

    fn thread(
        &mut self,
        plan: &Plan<'_>,
        address_space: AddressSpace,
        ipc_buffer: cap::Granule,
        entry: u64,
    ) -> Result<cap::Tcb, BuildError> {
        let tcb: cap::Tcb = self.stores.make(&ObjectBlueprint::Tcb)?.cast();
        let (cnode, radix) = plan.cnode;
        self.own_capabilities(plan, tcb)?;
        tcb.tcb_configure(&TcbConfiguration {
            fault_ep: CPtr::from_bits(process::FAULT_ENDPOINT),
            cspace_root: cnode,
            cspace_root_data: Some(CNodeCapData::skip(64 - radix as usize)),
            vspace_root: address_space.root,
            ipc_buffer: Some((address_map::IPC_BUFFER as usize, ipc_buffer)),
            authority: init_thread::slot::TCB,
            sched: SchedParams { mcp: plan.highest_priority, priority: plan.priority },
        })
        .named("configuration of a thread")?;
        let context = UserContext {
            rip: entry,
            rsp: address_map::STACK_TOP,
            rdi: address_map::STARTUP,
            rsi: address_map::IPC_BUFFER,
            ..UserContext::default()
        };
        tcb.tcb_write_all_registers(false, &context).named("registers of a thread")?;
        Ok(tcb)
    }

    /// What every process holds: see [`system::cspace::process`].
    fn own_capabilities(&mut self, plan: &Plan<'_>, tcb: cap::Tcb) -> Result<(), BuildError> {
        let (cnode, radix) = plan.cnode;
        let supervisor = CSpace::slot(self.supervisor.cptr());
        self.place(cnode, radix, process::SUPERVISOR)
            .mint(&supervisor, CapRights::write_only(), Sender::Report(plan.number).badge())
            .named("mint of the supervisor's endpoint")?;
        self.place(cnode, radix, process::FAULT_ENDPOINT)
            .mint(&supervisor, CapRights::fault_endpoint(), Sender::Fault(plan.number).badge())
            .named("mint of a fault endpoint")?;
        self.place(cnode, radix, process::OWN_TCB)
            .copy(&CSpace::slot(tcb.cptr()), CapRights::all())
            .named("copy of a thread capability")?;
        self.place(cnode, radix, process::OWN_CNODE)
            .mint_cnode(&CSpace::slot(cnode.cptr()), CNodeCapData::skip(64 - radix as usize))
            .named("mint of a CNode")
    }

    /// Slot `slot` of a process's CNode.
    pub fn place(&self, cnode: cap::CNode, radix: u32, slot: u64) -> sel4::AbsoluteCPtr {
        cnode.absolute_cptr_from_bits_with_depth(slot, radix as usize)
    }
}

impl Process {
    /// Whether `address` lies in the unmapped page below the stack.
    pub const fn is_stack_guard(&self, address: u64) -> bool {
        let lowest = address_map::STACK_TOP - self.stack_pages * FRAME_BYTES as u64;
        address < lowest && lowest - address <= FRAME_BYTES as u64
    }

    /// The frame of the stack page that `address` lies in.
    pub fn stack_frame(&self, address: u64) -> Option<cap::Granule> {
        let below_top = address_map::STACK_TOP.checked_sub(address)?;
        if below_top == 0 || below_top > self.stack_pages * FRAME_BYTES as u64 {
            return None;
        }
        let page = self.stack_pages - below_top.div_ceil(FRAME_BYTES as u64);
        Some(CPtr::from_bits(self.stack + page).cast())
    }
}
