//! A tiny guest on the real shadow MMU, and what must hold after each step.

use std::hash::Hasher;

use shadow_core::{
    Access, Counters, FaultOutcome, MapError, PagingContext, Policy, Pools, ShadowMmu, SpaceId,
    Storage, VcpuId,
};
use x86::{Gfn, Gpa, Gva};
use zerocopy::IntoBytes;

use crate::model::history::History;
use crate::model::kernel::{Kernel, Sibling};
use crate::model::memory::Ram;
use crate::model::reference;
use crate::setups::{ALL, DIRECT, DIRECT_TABLES, FRAMES, KERNEL, Setup};
use crate::steps::{Event, Step, Twist, access};

/// The smallest pools.
pub const POOLS: Pools = Pools { frames: FRAMES, ..Pools::FLOOR };

/// Faults in which any access or instruction must get on: six pages of an
/// instruction, each with promotion, unsync and a fill, and some for siblings.
const FAULTS: usize = 24;

/// Parts that one request may be done in.
const PARTS: usize = 200;

/// What does not hold, by the name of the property.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broken {
    /// The property.
    pub property: &'static str,
    /// What was seen.
    pub why: String,
}

/// The invariants over the records.
pub const AUDIT: &str = "S1-S17: the audit finds nothing";
/// Legality of every leaf.
pub const LEGAL: &str = "T1-T3: every leaf is one that the vCPU's TLB may hold";
/// Exactness of faults.
pub const EXACT: &str = "T4: one fault fixes what the tables allow, and faults are hardware's";
/// Refused operations.
pub const REFUSED: &str = "T5: a refused request succeeds when it is repeated";
/// Progress.
pub const PROGRESS: &str = "every instruction gets on within 24 faults";

fn broken<T>(property: &'static str, why: impl Into<String>) -> Result<T, Broken> {
    let why = why.into();
    Err(Broken { property, why })
}

#[derive(Clone)]
struct Vcpu {
    cpu: PagingContext,
    space: SpaceId,
    history: History,
}

/// Memory for the records of one machine.
pub struct Memory {
    words: Vec<u64>,
    counters: Counters,
}

impl Default for Memory {
    fn default() -> Self {
        Self { words: vec![0; POOLS.required_bytes().div_ceil(8)], counters: Counters::default() }
    }
}

impl Memory {
    fn split(&mut self) -> (Storage<'_>, &mut Counters) {
        let storage = Storage::carve(self.words.as_mut_bytes(), POOLS);
        (storage.expect("the size is what the pools ask for"), &mut self.counters)
    }
}

/// The machine of one state.
pub struct Guest<'a> {
    setup: &'static Setup,
    ram: Ram,
    mmu: ShadowMmu<'a>,
    kernel: Kernel,
    vcpus: Vec<Vcpu>,
    /// Whether the step that runs is new, not one that was checked before.
    checked: bool,
}

impl<'a> Guest<'a> {
    /// The guest at start, its records in `region`.
    pub fn new(setup: &'static Setup, policy: Policy, memory: &'a mut Memory) -> Self {
        let ram = Ram::new(FRAMES.into());
        for root in [1, 2] {
            ram.poke(root << 12 | (DIRECT >> 39) << 3, DIRECT_TABLES[0] << 12 | KERNEL);
        }
        ram.poke(DIRECT_TABLES[0] << 12, DIRECT_TABLES[1] << 12 | ALL);
        ram.poke(DIRECT_TABLES[1] << 12, DIRECT_TABLES[2] << 12 | ALL);
        for frame in 0..u64::from(FRAMES) {
            ram.poke(DIRECT_TABLES[2] << 12 | frame << 3, frame << 12 | ALL);
        }
        for &(gpa, value) in setup.tables {
            ram.poke(gpa, value);
        }
        let (storage, counters) = memory.split();
        *counters = Counters::default();
        let mut guest = Self {
            setup,
            ram,
            mmu: ShadowMmu::new(storage, counters, policy),
            kernel: Kernel::new(&POOLS),
            vcpus: Vec::new(),
            checked: true,
        };
        for number in 0..setup.vcpus {
            let cpu = PagingContext {
                vcpu: VcpuId::new(number).expect("two vCPUs at most"),
                root: Gfn::new(setup.roots[0]),
                write_protect: true,
                user: false,
            };
            let space = guest
                .mmu
                .load_cr3(&cpu, &guest.ram, &mut guest.kernel)
                .expect("nothing is refused yet");
            let history = History::default();
            guest.vcpus.push(Vcpu { cpu, space, history });
        }
        guest.observe();
        for &va in setup.touched {
            let touched = guest.access(0, va, Access::Read);
            assert!(matches!(touched, Ok(Some(_))), "the tables at start map {va:#x}");
        }
        guest
    }

    /// The same guest once more, its records in `memory`.
    pub fn copy_to<'b>(&self, memory: &'b mut Memory) -> Guest<'b> {
        let (storage, counters) = memory.split();
        Guest {
            setup: self.setup,
            ram: self.ram.photograph(),
            mmu: self.mmu.copy_to(storage, counters),
            kernel: self.kernel.clone(),
            vcpus: self.vcpus.clone(),
            checked: true,
        }
    }

    /// What tells this state from others.
    pub fn fingerprint(&self, state: &mut impl Hasher) {
        self.mmu.fingerprint(state);
        self.kernel.fingerprint(state);
        for (gpa, _) in self.setup.entries {
            state.write_u64(self.ram.peek(*gpa));
        }
        for &(gpa, _) in self.setup.tables {
            state.write_u64(self.ram.peek(gpa));
        }
        for vcpu in &self.vcpus {
            state.write_u64(vcpu.cpu.root.get());
            state.write_u8(vcpu.cpu.user.into());
            state.write_usize(vcpu.space.index());
            vcpu.history.fingerprint(state);
        }
    }

    /// Counters that have moved, by name.
    pub fn moved(&self) -> impl Iterator<Item = &'static str> {
        let moved = |(name, count)| (count > 0).then_some(name);
        self.mmu.counters().entries().filter_map(moved)
    }

    /// Lets a step happen and checks what must hold then, if it is `new`: else
    /// that has been checked before.
    pub fn apply(&mut self, step: Step, new: bool) -> Result<(), Broken> {
        self.checked = new;
        self.kernel.seen.clear();
        self.arm(step);
        self.happen(step.event)?;
        self.kernel.fail_after = None;
        self.kernel.sibling = None;
        self.observe();
        if new {
            self.audit()?;
            self.legal()?;
        }
        Ok(())
    }

    fn arm(&mut self, step: Step) {
        match step.twist {
            Twist::None => {}
            Twist::Refusal { after } => self.kernel.fail_after = Some(after),
            Twist::Sibling { after, entry, value } => {
                let Some(other) = step.event.vcpu().map(|vcpu| vcpu ^ 1) else {
                    return;
                };
                let (gpa, values) = self.setup.entries[entry];
                self.kernel.sibling = Some(Sibling {
                    after,
                    ram: self.ram.clone(),
                    space: self.vcpus[other].space,
                    va: DIRECT + gpa,
                    value: values[value],
                });
            }
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Access { vcpu, page, write } => {
                self.access(vcpu, self.setup.pages[page], access(write))?;
            }
            Event::Store { vcpu, entry, value } => {
                let (gpa, values) = self.setup.entries[entry];
                if self.access(vcpu, DIRECT + (gpa & !0xfff), Access::Write)?.is_some() {
                    self.ram.poke(gpa, values[value]);
                }
            }
            Event::Instruction { vcpu, code, data, entry, value } => {
                let pages = [
                    (self.setup.pages[code], Access::Execute),
                    (self.setup.pages[data], Access::Write),
                ];
                if let Some(table) = self.instruction(vcpu, pages)? {
                    let (gpa, values) = self.setup.entries[entry];
                    self.ram.poke(table.base().get() | gpa & 0xfff, values[value]);
                }
            }
            Event::ServerWrite { entry, value } => {
                let (gpa, values) = self.setup.entries[entry];
                self.ram.poke(gpa, values[value]);
                self.persist(|guest| {
                    guest.mmu.guest_written(Gpa::new(gpa), 8, &guest.ram, &mut guest.kernel)
                })?;
            }
            // Neither runs at CPL 3.
            Event::Invlpg { vcpu, .. } | Event::LoadCr3 { vcpu, .. }
                if self.vcpus[vcpu].cpu.user => {}
            Event::Invlpg { vcpu, page } => {
                self.invalidate(vcpu, self.setup.pages[page], false)?;
            }
            Event::LoadCr3 { vcpu, root } => {
                let cpu = PagingContext {
                    root: Gfn::new(self.setup.roots[root]),
                    ..self.vcpus[vcpu].cpu
                };
                let space =
                    self.persist(|guest| guest.mmu.load_cr3(&cpu, &guest.ram, &mut guest.kernel))?;
                let history = History::default();
                self.vcpus[vcpu] = Vcpu { cpu, space, history };
            }
            Event::User { vcpu, user } => {
                let cpu = PagingContext { user, ..self.vcpus[vcpu].cpu };
                let space = self.persist(|guest| guest.mmu.activate(&cpu, &mut guest.kernel))?;
                self.vcpus[vcpu].cpu = cpu;
                self.vcpus[vcpu].space = space;
            }
            Event::Vanish { frame } => {
                self.persist(|guest| {
                    guest.mmu.remove_all_mappings(Gfn::new(frame), &mut guest.kernel)
                })?;
                let leaves = self.kernel.reachable();
                if leaves.iter().any(|&(_, _, mapped, _)| mapped == frame) {
                    return broken(LEGAL, format!("frame {frame} is still mapped"));
                }
            }
        }
        Ok(())
    }

    /// Repeats a request that the kernel refused or that has done as much as one
    /// may, as the server does.
    fn persist<T>(
        &mut self,
        mut request: impl FnMut(&mut Self) -> Result<T, MapError>,
    ) -> Result<T, Broken> {
        let mut refusals = 0;
        for _ in 0..PARTS {
            match request(self) {
                Ok(done) => return Ok(done),
                Err(error) => refusals += u32::from(!error.is_again()),
            }
            self.audit_records()?;
            if refusals > 1 {
                return broken(REFUSED, "refused twice, though only one operation was");
            }
        }
        broken(PROGRESS, "a request does not end")
    }

    fn invalidate(&mut self, vcpu: usize, va: u64, by_fault: bool) -> Result<(), Broken> {
        let cpu = self.vcpus[vcpu].cpu;
        let gva = Gva::new(va);
        self.persist(|guest| match by_fault {
            true => guest.mmu.page_fault_delivered(&cpu, gva, &guest.ram, &mut guest.kernel),
            false => guest.mmu.invlpg(&cpu, gva, &guest.ram, &mut guest.kernel),
        })?;
        self.vcpus[vcpu].history.invalidate(va, by_fault);
        self.observe();
        self.kernel.seen.clear();
        Ok(())
    }

    fn mapped(&self, vcpu: usize, va: u64, access: Access) -> Option<Gfn> {
        let (gfn, writable) = self.kernel.access(self.vcpus[vcpu].space, Gva::new(va))?;
        (writable || access != Access::Write).then_some(gfn)
    }

    /// An access, to its end: the frame, or `None` if the guest got a fault.
    fn access(&mut self, vcpu: usize, va: u64, access: Access) -> Result<Option<Gfn>, Broken> {
        for _ in 0..FAULTS {
            if let Some(gfn) = self.mapped(vcpu, va, access) {
                return Ok(Some(gfn));
            }
            if !self.fault(vcpu, va, access)? {
                return Ok(None);
            }
        }
        broken(PROGRESS, format!("{access:?} of {va:#x} does not end"))
    }

    /// All accesses of one instruction; the frame of the last.
    fn instruction(
        &mut self,
        vcpu: usize,
        pages: [(u64, Access); 2],
    ) -> Result<Option<Gfn>, Broken> {
        for _ in 0..FAULTS {
            let frames = pages.map(|(va, access)| self.mapped(vcpu, va, access));
            let missing = frames.iter().position(Option::is_none);
            let Some(missing) = missing else {
                return Ok(frames[1]);
            };
            let (va, access) = pages[missing];
            if !self.fault(vcpu, va, access)? {
                return Ok(None);
            }
        }
        broken(PROGRESS, format!("the instruction at {:#x} does not end", pages[0].0))
    }

    /// One page fault; whether the access is to be tried again.
    fn fault(&mut self, vcpu: usize, va: u64, access: Access) -> Result<bool, Broken> {
        let Vcpu { cpu, space, .. } = self.vcpus[vcpu];
        let write = access == Access::Write;
        let expected = reference::access(
            &self.ram,
            cpu.root.base().get(),
            va,
            write,
            cpu.user,
            cpu.write_protect,
        );
        let outcome =
            self.mmu.handle_fault(&cpu, Gva::new(va), access, &self.ram, &mut self.kernel);
        self.observe();
        let raced = !self.kernel.seen.is_empty();
        self.kernel.seen.clear();
        match (outcome, expected) {
            (FaultOutcome::Failed(_), _) => {
                self.audit_records()?;
                return Ok(true);
            }
            (FaultOutcome::GuestFault(_), _) if raced => {
                self.invalidate(vcpu, va, true)?;
                return Ok(false);
            }
            (_, _) if raced => {}
            (FaultOutcome::Again, Ok(_)) => {}
            (FaultOutcome::Filled { gfn, .. }, Ok((page, _))) => {
                let leaf = self.kernel.access(space, Gva::new(va));
                if gfn.get() != page.frame_of(va)
                    || !leaf.is_some_and(|(frame, writable)| frame == gfn && (writable || !write))
                {
                    return broken(EXACT, format!("{access:?} of {va:#x} is not fixed: {leaf:?}"));
                }
            }
            (FaultOutcome::GuestFault(fault), Err(code)) if fault.code.bits() == code => {
                self.invalidate(vcpu, va, true)?;
                return Ok(false);
            }
            (FaultOutcome::NotRam { .. }, Ok((page, _))) if page.frame_of(va) >= FRAMES.into() => {
                return Ok(false);
            }
            (outcome, expected) => {
                return broken(
                    EXACT,
                    format!("{access:?} of {va:#x}: {outcome:?}, but hardware {expected:x?}"),
                );
            }
        }
        Ok(true)
    }

    fn observe(&mut self) {
        for vcpu in &mut self.vcpus {
            for ram in &self.kernel.seen {
                vcpu.history.observe(ram, vcpu.cpu.root, self.setup.pages);
            }
            vcpu.history.observe(&self.ram, vcpu.cpu.root, self.setup.pages);
        }
    }

    fn audit(&self) -> Result<(), Broken> {
        if let Err(violation) = self.mmu.audit_contents(&self.ram) {
            return broken(AUDIT, format!("{violation:?}"));
        }
        self.audit_records()
    }

    /// As [`Self::audit`], but what was built from tables may lag: the request
    /// will be repeated.
    fn audit_records(&self) -> Result<(), Broken> {
        if !self.checked {
            return Ok(());
        }
        if let Err(violation) = self.mmu.audit() {
            return broken(AUDIT, format!("{violation:?}"));
        }
        let recorded = self.mmu.live_leaves();
        let mut recorded: Vec<_> = recorded
            .map(|leaf| (leaf.space.index(), leaf.gva.get(), leaf.gfn.get(), leaf.writable))
            .collect();
        recorded.sort_unstable();
        let mut real = self.kernel.reachable();
        real.sort_unstable();
        if recorded != real {
            return broken(AUDIT, format!("records {recorded:x?}, kernel {real:x?}"));
        }
        Ok(())
    }

    fn legal(&self) -> Result<(), Broken> {
        for vcpu in &self.vcpus {
            for &va in self.setup.pages {
                let Some((gfn, writable)) = self.kernel.access(vcpu.space, Gva::new(va)) else {
                    continue;
                };
                if !vcpu.history.allows(&vcpu.cpu, va, gfn.get(), writable) {
                    let why = format!("{va:#x} leads {:?} to {gfn:?}, W {writable}", vcpu.cpu);
                    return broken(LEGAL, why);
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Guest<'_> {
    /// The guest's changing entries, and what is mapped.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for &(gpa, _) in self.setup.entries {
            writeln!(f, "entry {gpa:#x} = {:#x}", self.ram.peek(gpa))?;
        }
        for (number, vcpu) in self.vcpus.iter().enumerate() {
            writeln!(
                f,
                "vCPU {number}: root {:?}, {:?}, space {}",
                vcpu.cpu.root,
                vcpu.cpu.view(),
                vcpu.space.index()
            )?;
        }
        for (space, va, frame, writable) in self.kernel.reachable() {
            let rights = if writable { "rw" } else { "r" };
            writeln!(f, "space {space}: {va:#x} -> frame {frame} {rights}")?;
        }
        for (name, count) in self.mmu.counters().entries() {
            if count > 0 {
                writeln!(f, "{name} {count}")?;
            }
        }
        Ok(())
    }
}
