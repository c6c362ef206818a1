//! The shadow MMU with its memory and capabilities, and the CPU's view of it.

use core::sync::atomic::AtomicU8;

use protocol::counters::Server as Counter;
use protocol::trace::Trace;
use shadow_core::{
    Access, FaultOutcome, MapError, PagingContext, ShadowMmu, SpaceId, Translation, VcpuId,
};
use vcpu::{
    AccessKind, DecodeError, Fetched, Instruction, MAX_LENGTH, Machine, NothingAhead, Original,
    RegisterSet, Registers, Translations, VcpuState,
};
use x86::{
    Cr0, Gfn, Gpa, GuestMemory, Gva, OutsideRam, PAGE_SIZE, PHYSICAL_ADDRESS_BITS, PageFault,
    PageFaultCode,
};

use crate::caps::Caps;
use crate::owed::{Flush, Owed};
use crate::rewrites::Rewrites;
use crate::thread::Thread;
use crate::trace;
use crate::window::Window;

/// Attempts at a translation while the guest keeps changing its tables.
const ATTEMPTS: usize = 4;

/// Whether the CPU executes ahead of traps (`vcpu`, `ahead.rs`); off to see
/// what it gives.
const LOOK_AHEAD: bool = true;

/// The shadow MMU and what it works on.
pub struct Paging {
    /// The shadow MMU.
    pub mmu: ShadowMmu<'static>,
    /// Capabilities.
    pub caps: Caps,
    /// Guest memory.
    pub memory: Window,
    /// What became of each page fault, if that is kept.
    pub trace: Option<Trace<'static>>,
    /// Instructions of the guest's image that are known by address.
    pub rewrites: Rewrites,
    /// Other instructions that were executed lately.
    pub fetched: Fetched,
}

/// The paging state that `state` of vCPU number `vcpu` stands for.
pub fn context(vcpu: VcpuId, state: &VcpuState) -> PagingContext {
    const FRAME_MASK: u64 = ((1 << PHYSICAL_ADDRESS_BITS) - 1) >> 12;
    PagingContext {
        vcpu,
        root: Gfn::new(state.cr3 >> 12 & FRAME_MASK),
        write_protect: state.cr0().contains(Cr0::WP),
        user: state.cpl() == 3,
    }
}

impl Paging {
    /// Handles a page fault of the guest thread.
    #[inline(always)] // the fault path; what else handles faults calls one copy
    pub fn fault(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        rip: u64,
    ) -> FaultOutcome {
        if self.trace.is_some() {
            return self.traced_fault(cpu, gva, access, rip);
        }
        self.mmu.handle_fault(cpu, gva, access, &self.memory, &mut self.caps)
    }

    /// As [`Self::fault`], off the fault path.
    pub fn fault_apart(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        rip: u64,
    ) -> FaultOutcome {
        if self.trace.is_some() {
            return self.traced_fault(cpu, gva, access, rip);
        }
        self.apart(cpu, gva, access)
    }

    #[cold]
    fn traced_fault(
        &mut self,
        cpu: &PagingContext,
        gva: Gva,
        access: Access,
        rip: u64,
    ) -> FaultOutcome {
        let before = process::counted(Counter::Invocations);
        let mut record = trace::begin(cpu, rip, gva, access);
        let outcome = self.apart(cpu, gva, access);
        let operations = process::counted(Counter::Invocations) - before;
        trace::conclude(&mut record, &outcome, operations);
        if let Some(trace) = &mut self.trace {
            trace.push(record);
        }
        outcome
    }

    /// Maps what an access needs that is about to be made. Whatever hinders it
    /// shows when the access is made.
    pub fn prefault(&mut self, cpu: &PagingContext, gva: Gva, access: Access) {
        let _: FaultOutcome = self.apart(cpu, gva, access);
    }

    #[inline(never)]
    fn apart(&mut self, cpu: &PagingContext, gva: Gva, access: Access) -> FaultOutcome {
        self.mmu.handle_fault(cpu, gva, access, &self.memory, &mut self.caps)
    }

    /// Writes guest memory: the one door through which servers and devices do,
    /// so that no table changes unnoticed. Outside RAM nothing is written.
    ///
    /// # Errors
    /// [`MapError`] if the shadow of a table could not follow; the guest must
    /// not run on then.
    pub fn write(&mut self, gpa: Gpa, bytes: &[u8]) -> Result<Result<(), OutsideRam>, MapError> {
        let written = self.memory.write(gpa, bytes);
        self.written(gpa, bytes.len() as u64)?;
        Ok(written)
    }

    /// As [`Self::write`], from an area that others may change meanwhile.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn write_shared(
        &mut self,
        gpa: Gpa,
        area: &[AtomicU8],
    ) -> Result<Result<(), OutsideRam>, MapError> {
        let written = self.memory.write_shared(gpa, area);
        self.written(gpa, area.len() as u64)?;
        Ok(written)
    }

    /// Lets the shadow follow what was written.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub fn written(&mut self, gpa: Gpa, length: u64) -> Result<(), MapError> {
        self.mmu.guest_written(gpa, length, &self.memory, &mut self.caps)
    }

    /// Makes the space for `cpu` ready to run in.
    pub fn activate(&mut self, cpu: &PagingContext) -> Result<SpaceId, MapError> {
        self.mmu.activate(cpu, &mut self.caps)
    }
}

/// One vCPU's view of memory while an instruction of its is carried out.
pub struct Mmu<'p> {
    paging: &'p mut Paging,
    cpu: PagingContext,
    thread: &'p mut Thread,
    translations: &'p mut Translations,
    nothing_ahead: &'p mut NothingAhead,
    owed: &'p mut Owed,
    /// Whether a capability operation or a read of registers failed; the caller
    /// must not resume the guest then as if nothing were.
    pub failed: bool,
    /// Whether an interrupt waits for the vCPU to take it.
    pub interrupt_pending: bool,
}

/// Where a byte of guest memory is.
enum Place {
    Ram(Gpa),
    /// Reads as ones, drops writes.
    Nothing,
}

impl<'p> Mmu<'p> {
    /// The view of the vCPU with `cpu`'s paging state.
    pub const fn new(
        paging: &'p mut Paging,
        thread: &'p mut Thread,
        translations: &'p mut Translations,
        nothing_ahead: &'p mut NothingAhead,
        owed: &'p mut Owed,
        cpu: PagingContext,
    ) -> Self {
        Self {
            paging,
            cpu,
            thread,
            translations,
            nothing_ahead,
            owed,
            failed: false,
            interrupt_pending: false,
        }
    }

    /// Where `length` bytes at `gva` are, if they lie in one page whose
    /// translation is kept.
    #[inline(always)] // most lengths are constants
    fn near(&self, gva: Gva, length: usize, access: vcpu::Access) -> Option<Gpa> {
        if gva.page_offset() + length as u64 > PAGE_SIZE {
            return None;
        }
        let write = access.kind == AccessKind::Write;
        let user = access.privilege.is_user();
        self.translations.find(gva, user, write)
    }

    #[inline]
    fn place(&mut self, gva: Gva, access: vcpu::Access) -> Result<Place, PageFault> {
        let (user, write) = (access.privilege.is_user(), access.kind == AccessKind::Write);
        match self.translations.find(gva, user, write) {
            Some(gpa) => Ok(Place::Ram(gpa)),
            None => self.translate(gva, access),
        }
    }

    #[inline(never)]
    fn translate(&mut self, gva: Gva, access: vcpu::Access) -> Result<Place, PageFault> {
        let cpu = PagingContext { user: access.privilege.is_user(), ..self.cpu };
        let kind = match access.kind {
            AccessKind::Read => Access::Read,
            AccessKind::Write => Access::Write,
            AccessKind::Fetch => Access::Execute,
        };
        if let Some(gpa) = self.paging.mmu.mapped(&cpu, gva, kind) {
            self.translations.keep(gva, cpu.user, kind.is_write(), gpa);
            return Ok(Place::Ram(gpa));
        }
        for _ in 0..ATTEMPTS {
            match self.paging.mmu.translate(&cpu, gva, kind, &self.paging.memory) {
                Translation::Ram(gpa) => {
                    self.translations.keep(gva, cpu.user, kind.is_write(), gpa);
                    return Ok(Place::Ram(gpa));
                }
                Translation::GuestFault(fault) => return Err(fault),
                Translation::NotRam(_) | Translation::ReadOnlyMemory(_) => {
                    return Ok(Place::Nothing);
                }
                // The CPU hands on canonical addresses only.
                Translation::NonCanonical => break,
                Translation::Retry => {}
            }
        }
        Err(PageFault { address: gva, code: PageFaultCode::empty() })
    }

    /// Calls `piece` for each page of the range, with the part of `0..length`
    /// that lies in it.
    fn pages(
        &mut self,
        gva: Gva,
        length: usize,
        access: vcpu::Access,
        mut piece: impl FnMut(&mut Paging, Place, core::ops::Range<usize>),
    ) -> Result<(), PageFault> {
        let mut done = 0;
        while done < length {
            let at = gva.wrapping_add(done as u64);
            let in_page = (PAGE_SIZE - at.page_offset()) as usize;
            let end = length.min(done + in_page);
            let place = self.place(at, access)?;
            piece(self.paging, place, done..end);
            done = end;
        }
        Ok(())
    }

    /// Eight bytes of one page, without a fault.
    #[inline(never)]
    fn look(&mut self, gva: Gva, access: vcpu::Access) -> Option<[u8; 8]> {
        if gva.page_offset() > PAGE_SIZE - 8 {
            return None;
        }
        let Ok(Place::Ram(gpa)) = self.place(gva, access) else {
            return None;
        };
        let mut bytes = [0; 8];
        let read = self.paging.memory.read(gpa, &mut bytes);
        read.is_ok().then_some(bytes)
    }

    fn read_pages(
        &mut self,
        gva: Gva,
        bytes: &mut [u8],
        access: vcpu::Access,
    ) -> Result<(), PageFault> {
        self.pages(gva, bytes.len(), access, |paging, place, range| {
            let bytes = &mut bytes[range];
            let read = match place {
                Place::Ram(gpa) => paging.memory.read(gpa, bytes).is_ok(),
                Place::Nothing => false,
            };
            if !read {
                bytes.fill(0xff);
            }
        })
    }

    fn write_pages(
        &mut self,
        gva: Gva,
        bytes: &[u8],
        access: vcpu::Access,
    ) -> Result<(), PageFault> {
        self.probe(gva, bytes.len(), access)?;
        let mut written = [(Gpa::new(0), 0, Ok(())); 2];
        let mut pieces = written.iter_mut();
        let result = self.pages(gva, bytes.len(), access, |paging, place, range| {
            if let Place::Ram(gpa) = place {
                // The translation was to RAM; a write elsewhere is dropped.
                let length = range.len() as u64;
                let done = paging.write(gpa, &bytes[range]).map(|_| ());
                if let Some(piece) = pieces.next() {
                    *piece = (gpa, length, done);
                }
            }
        });
        for (gpa, length, done) in written {
            self.failed |= self.owed.wrote(gpa, length, done);
        }
        result
    }
}

impl Machine for Mmu<'_> {
    fn read_registers(&mut self, registers: &mut Registers, set: RegisterSet) {
        self.failed |= self.thread.read(registers, set).is_err();
    }

    fn load_registers(&mut self, registers: &mut Registers, set: RegisterSet) {
        self.failed |= self.thread.load(registers, set).is_err();
    }

    #[inline(always)] // most lengths are constants
    fn read(&mut self, gva: Gva, bytes: &mut [u8], access: vcpu::Access) -> Result<(), PageFault> {
        if gva.page_offset() + bytes.len() as u64 > PAGE_SIZE {
            return self.read_pages(gva, bytes, access);
        }
        if let Place::Ram(gpa) = self.place(gva, access)?
            && self.paging.memory.read(gpa, bytes).is_ok()
        {
            return Ok(());
        }
        bytes.fill(0xff);
        Ok(())
    }

    #[inline(always)] // most lengths are constants
    fn write(&mut self, gva: Gva, bytes: &[u8], access: vcpu::Access) -> Result<(), PageFault> {
        if let Some(gpa) = self.near(gva, bytes.len(), access) {
            // A kept translation for writes leads to RAM.
            let done = self.paging.write(gpa, bytes).map(|_| ());
            self.failed |= self.owed.wrote(gpa, bytes.len() as u64, done);
            return Ok(());
        }
        self.write_pages(gva, bytes, access)
    }

    #[inline(always)] // most lengths are constants
    fn fetch(&mut self, gva: Gva, bytes: &mut [u8], access: vcpu::Access) -> Result<(), PageFault> {
        self.read(gva, bytes, access)
    }

    #[inline]
    fn decode(&mut self, rip: Gva, bytes: &[u8; MAX_LENGTH]) -> Result<Instruction, DecodeError> {
        self.paging.fetched.decode(rip, bytes)
    }

    #[inline(always)] // most often there is nothing
    fn peek(&mut self, gva: Gva, access: vcpu::Access) -> Option<[u8; 8]> {
        if !LOOK_AHEAD || self.nothing_ahead.contains(gva) {
            return None;
        }
        self.look(gva, access)
    }

    fn nothing_ahead(&mut self, gva: Gva) {
        self.nothing_ahead.insert(gva);
    }

    fn original(&mut self, gva: Gva) -> Option<Original> {
        self.paging.rewrites.find(gva.get())
    }

    fn interrupt_pending(&self) -> bool {
        self.interrupt_pending
    }

    fn looked_ahead(&mut self) {
        process::count(Counter::LookAhead);
    }

    fn probe(&mut self, gva: Gva, length: usize, access: vcpu::Access) -> Result<(), PageFault> {
        self.pages(gva, length, access, |_, _, _| ())
    }

    fn cr3_loaded(&mut self, state: &VcpuState) {
        self.translations.forget_all();
        self.cpu = context(self.cpu.vcpu, state);
        let Paging { mmu, caps, memory, .. } = &mut *self.paging;
        let result = mmu.load_cr3(&self.cpu, memory, caps);
        self.failed |= self.owed.flushed(Flush::Load, result);
    }

    fn page_fault_delivered(&mut self, gva: Gva) {
        self.translations.forget(gva);
        let Paging { mmu, caps, memory, .. } = &mut *self.paging;
        let result = mmu.page_fault_delivered(&self.cpu, gva, memory, caps);
        self.failed |= result.is_err();
    }

    fn invalidate(&mut self, gva: Gva) {
        self.translations.forget_around(gva);
        let Paging { mmu, caps, memory, .. } = &mut *self.paging;
        let result = mmu.invlpg(&self.cpu, gva, memory, caps);
        self.failed |= result.is_err();
    }

    fn paging_mode_changed(&mut self, state: &VcpuState) {
        self.translations.forget_all();
        self.cpu = context(self.cpu.vcpu, state);
        let Paging { mmu, caps, memory, .. } = &mut *self.paging;
        let result = mmu.paging_mode_changed(&self.cpu, memory, caps);
        self.failed |= self.owed.flushed(Flush::Mode, result);
    }
}
