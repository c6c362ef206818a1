//! Random guests on two vCPUs, and what their TLBs may hold.

use std::cell::Cell;

use proptest::prelude::*;
use shadow_core::{
    Access, AuditCursor, FaultOutcome, MapError, PagingContext, Policy, Pools, Promotion, SpaceId,
    VcpuId,
};
use x86::{Gfn, Gpa, Gva};

use super::history::History;
use super::kernel::Sibling;
use super::machine::{A, D, Machine, P, PS, U, W};
use super::reference;

/// Frames 1 to 8 serve as tables (at any level, and as data); roots are 1 and 2.
pub const TABLES: u64 = 8;
pub const READ_ONLY: u64 = 9;
/// Through these tables both roots map all frames, at an address that random
/// entries leave alone; stores to tables go there.
pub const DIRECT_TABLES: [u64; 3] = [13, 14, 15];
pub const DIRECT_SLOT: u64 = 200;
pub const DIRECT: u64 = DIRECT_SLOT << 39;
/// Few frames, so that frames are mapped at many places and audits are quick.
pub const FRAMES: u32 = 16;

#[derive(Clone, Debug)]
pub enum Step {
    /// Store an entry in a table.
    Write {
        table: u64,
        slot: usize,
        target: u64,
        flags: u64,
    },
    /// Store an entry through whatever is mapped at an address.
    Store {
        va: usize,
        slot: usize,
        target: u64,
        flags: u64,
    },
    /// A store by a device or server.
    ServerWrite {
        table: u64,
        slot: usize,
        target: u64,
        flags: u64,
    },
    /// The other vCPU stores during a coming operation of the server.
    Sibling {
        after: u32,
        table: u64,
        slot: usize,
        target: u64,
        flags: u64,
    },
    Access {
        va: usize,
        access: Access,
    },
    Invlpg {
        va: usize,
    },
    LoadCr3 {
        root: u64,
    },
    User(bool),
    WriteProtect(bool),
    ModeChange,
    Revoke {
        frame: u64,
    },
    SwitchVcpu,
    /// Start or stop the log of written frames.
    LogDirty(bool),
    ReadDirty,
    /// Let the kernel refuse an operation after that many.
    FailAfter(u32),
}

/// Superpages at aligned frames only, or they are malformed.
pub fn entry(target: u64, flags: u64) -> u64 {
    let target = if flags & PS != 0 { target & 512 } else { target };
    target << 12 | flags
}

pub const RECORDED: Policy = Policy { promotion: Promotion::Recorded, ..Policy::DEFAULT };

/// No neighbours are mapped with a fault.
pub const ALONE: Policy = Policy { neighbours: 1, longest_run: 1, ..Policy::DEFAULT };

/// Operations of one fault at most, as documented; an eviction adds the budget.
pub const FAULT_LIMIT: usize = 172;

/// Requests end long before they are done.
pub const HASTY: Policy = Policy { budget: 3, ..Policy::DEFAULT };

/// Slots used on each level: four on level 1, two above.
pub const SLOTS: usize = 4;

pub fn addresses() -> Vec<u64> {
    let mut all = Vec::new();
    for l4 in 0..3 {
        for l3 in 0..2 {
            for l2 in 0..2 {
                for l1 in 0..SLOTS as u64 {
                    all.push(l4 << 39 | l3 << 30 | l2 << 21 | l1 << 12);
                }
            }
        }
    }
    all
}

pub fn flags() -> impl Strategy<Value = u64> {
    let bit = |value: u64, weight: f64| {
        proptest::bool::weighted(weight).prop_map(move |on| if on { value } else { 0 })
    };
    let rights = (bit(P, 0.97), bit(W, 0.85), bit(U, 0.85));
    let rest = (bit(A, 0.5), bit(D, 0.5), bit(PS, 0.15), bit(1 << 63, 0.01));
    (rights, rest).prop_map(|((p, w, u), (a, d, ps, reserved))| p | w | u | a | d | ps | reserved)
}

pub fn target() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1..=TABLES,
        2 => 1..=READ_ONLY + 3,
        1 => Just(READ_ONLY),
        1 => Just(0_u64),
        1 => Just(512_u64),
        1 => Just(5000_u64),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    let va = 0..addresses().len();
    let access = prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::Execute)];
    prop_oneof![
        8 => (1..=TABLES, 0..SLOTS, target(), flags())
            .prop_map(|(table, slot, target, flags)| Step::Write { table, slot, target, flags }),
        3 => (va.clone(), 0..SLOTS, target(), flags())
            .prop_map(|(va, slot, target, flags)| Step::Store { va, slot, target, flags }),
        24 => (va.clone(), access).prop_map(|(va, access)| Step::Access { va, access }),
        1 => (1..=TABLES, 0..SLOTS, target(), flags())
            .prop_map(|(table, slot, target, flags)| Step::ServerWrite { table, slot, target, flags }),
        2 => (0..4_u32, 1..=TABLES, 0..SLOTS, target(), flags())
            .prop_map(|(after, table, slot, target, flags)| Step::Sibling { after, table, slot, target, flags }),
        3 => va.prop_map(|va| Step::Invlpg { va }),
        2 => (1..=2_u64).prop_map(|root| Step::LoadCr3 { root }),
        2 => any::<bool>().prop_map(Step::User),
        1 => any::<bool>().prop_map(Step::WriteProtect),
        1 => Just(Step::ModeChange),
        1 => (0..READ_ONLY + 3).prop_map(|frame| Step::Revoke { frame }),
        2 => Just(Step::SwitchVcpu),
        1 => proptest::bool::weighted(0.8).prop_map(Step::LogDirty),
        2 => Just(Step::ReadDirty),
        2 => (0..12_u32).prop_map(Step::FailAfter),
    ]
}

pub struct Vcpu {
    cpu: PagingContext,
    space: SpaceId,
    history: History,
}

pub struct World {
    pub machine: Machine,
    vcpus: [Vcpu; 2],
    running: usize,
    budget: usize,
    in_interlude: bool,
    audited: Cell<AuditCursor>,
    /// Contents of each frame when the log said last that it was cleared.
    cleared: Vec<Option<Vec<u64>>>,
}

impl World {
    pub fn new(pools: Pools, policy: Policy) -> Self {
        let mut machine = Machine::with_policy(pools, policy);
        machine.mmu.set_read_only(Gfn::new(READ_ONLY), 1);
        let all = P | W | U | A | D;
        for root in [1, 2] {
            machine.ram.poke(root << 12 | DIRECT_SLOT << 3, DIRECT_TABLES[0] << 12 | all);
        }
        machine.ram.poke(DIRECT_TABLES[0] << 12, DIRECT_TABLES[1] << 12 | all);
        machine.ram.poke(DIRECT_TABLES[1] << 12, DIRECT_TABLES[2] << 12 | all);
        for frame in 0..u64::from(FRAMES) {
            let entry = DIRECT_TABLES[2] << 12 | frame << 3;
            machine.ram.poke(entry, frame << 12 | all);
        }
        let vcpus = [0, 1].map(|number| {
            let vcpu = VcpuId::new(number).expect("two vCPUs");
            let cpu = PagingContext { vcpu, ..machine.cpu };
            let space = machine
                .mmu
                .load_cr3(&cpu, &machine.ram, &mut machine.kernel)
                .expect("kernel works");
            Vcpu { cpu, space, history: History::default() }
        });
        Self {
            machine,
            vcpus,
            running: 0,
            cleared: vec![None; FRAMES as usize],
            budget: policy.budget as usize,
            in_interlude: false,
            audited: Cell::default(),
        }
    }

    /// Repeats a request that the kernel refused, as the server does, and one
    /// that has used up its budget; then the other vCPU goes on meanwhile.
    fn persist<T>(
        &mut self,
        limit: usize,
        mut request: impl FnMut(&mut Machine) -> Result<T, MapError>,
    ) -> T {
        let mut refusals = 0;
        for round in 0.. {
            let machine = &mut self.machine;
            machine.kernel.take_calls();
            let result = request(machine);
            match result {
                Ok(_) if !self.in_interlude => machine.check(),
                _ => machine.check_records(),
            }
            assert!(
                machine.kernel.calls.len() <= limit,
                "{} operations of {limit}",
                machine.kernel.calls.len()
            );
            match result {
                Ok(done) => return done,
                Err(error) if error.is_again() => self.interlude(round),
                Err(_) => refusals += 1,
            }
            assert!(refusals < 4, "only one refusal is injected at a time");
            assert!(round < 2000, "the request gets nowhere");
        }
        unreachable!("rounds are limited")
    }

    /// The other vCPU touches something between two parts of a long request.
    fn interlude(&mut self, round: usize) {
        if self.in_interlude || round > 20 {
            return;
        }
        self.in_interlude = true;
        let mut seen = std::mem::take(&mut self.machine.kernel.seen);
        self.running ^= 1;
        let all = addresses();
        let kind = [Access::Read, Access::Write][round % 2];
        self.access(all[7 * round % all.len()], kind);
        self.observe();
        self.running ^= 1;
        seen.push(self.machine.ram.photograph());
        self.machine.kernel.seen = seen;
        self.in_interlude = false;
    }

    fn activate(&mut self, cpu: PagingContext) {
        let limit = self.budget;
        let space = self.persist(limit, |machine| machine.mmu.activate(&cpu, &mut machine.kernel));
        let vcpu = &mut self.vcpus[self.running];
        (vcpu.cpu, vcpu.space) = (cpu, space);
    }

    pub fn apply(&mut self, step: &Step) {
        let cpu = self.vcpus[self.running].cpu;
        if matches!(step, Step::SwitchVcpu) {
            self.machine.kernel.sibling = None;
        }
        match *step {
            Step::Write { table, slot, target, flags } => {
                let value = entry(target, flags);
                self.store(DIRECT | table << 12, slot, value);
            }
            Step::Store { va, slot, target, flags } => {
                self.store(addresses()[va], slot, entry(target, flags))
            }
            Step::ServerWrite { table, slot, target, flags } => {
                let gpa = table << 12 | (slot as u64) << 3;
                self.machine.ram.poke(gpa, entry(target, flags));
                self.persist(self.budget, |machine| {
                    machine.mmu.guest_written(Gpa::new(gpa), 8, &machine.ram, &mut machine.kernel)
                });
            }
            Step::Sibling { after, table, slot, target, flags } => {
                self.machine.kernel.sibling = Some(Sibling {
                    after,
                    ram: self.machine.ram.clone(),
                    space: self.vcpus[self.running ^ 1].space,
                    va: DIRECT | table << 12 | (slot as u64) << 3,
                    value: entry(target, flags),
                });
            }
            Step::Access { va, access } => {
                self.access(addresses()[va], access);
            }
            Step::Invlpg { va } => self.invalidate(addresses()[va], false),
            Step::LoadCr3 { root } => {
                let cpu = PagingContext { root: Gfn::new(root), ..cpu };
                let limit = self.budget;
                let space = self.persist(limit, |machine| {
                    machine.mmu.load_cr3(&cpu, &machine.ram, &mut machine.kernel)
                });
                self.vcpus[self.running] = Vcpu { cpu, space, history: History::default() };
            }
            Step::User(user) => self.activate(PagingContext { user, ..cpu }),
            Step::WriteProtect(write_protect) => {
                self.activate(PagingContext { write_protect, ..cpu })
            }
            Step::ModeChange => {
                let limit = self.budget;
                let space = self.persist(limit, |machine| {
                    machine.mmu.paging_mode_changed(&cpu, &machine.ram, &mut machine.kernel)
                });
                self.vcpus[self.running] = Vcpu { cpu, space, history: History::default() };
            }
            Step::Revoke { frame } => self.persist(1, |machine| {
                machine.mmu.remove_all_mappings(Gfn::new(frame), &mut machine.kernel)
            }),
            Step::SwitchVcpu => self.running ^= 1,
            Step::LogDirty(on) => {
                self.cleared.fill(None);
                match on {
                    true => self.machine.mmu.start_log_dirty(),
                    false => self.machine.mmu.stop_log_dirty(),
                }
            }
            Step::ReadDirty => self.read_dirty(),
            Step::FailAfter(calls) => self.machine.kernel.fail_after = Some(calls),
        }
    }

    /// No frame may have changed that the log calls clean.
    fn read_dirty(&mut self) {
        let mut next = Gfn::new(0);
        while next.get() < FRAMES.into() {
            let (first, mut dirty) = (next, [0]);
            next = self.persist(self.budget, |machine| {
                machine.mmu.read_dirty(first, &mut dirty, &mut machine.kernel)
            });
            assert!(next > first, "the log moves on");
            for frame in first.get()..next.get() {
                let now = (0..512).map(|word| self.machine.ram.peek(frame << 12 | word << 3));
                let now: Vec<u64> = now.collect();
                let cleared = &mut self.cleared[frame as usize];
                let is_dirty = dirty[0] >> (frame - first.get()) & 1 != 0;
                assert!(
                    is_dirty || cleared.as_ref() == Some(&now),
                    "a write of frame {frame} was lost"
                );
                *cleared = Some(now);
            }
        }
    }

    /// What a store instruction does: it goes where the shadow leads it, once
    /// that lets it pass.
    fn store(&mut self, va: u64, slot: usize, value: u64) {
        if let Some(gfn) = self.access(va, Access::Write)
            && !DIRECT_TABLES.contains(&gfn.get())
        {
            self.machine.ram.poke(gfn.base().get() | (slot as u64) << 3, value);
        }
    }

    fn invalidate(&mut self, va: u64, by_fault: bool) {
        let cpu = self.vcpus[self.running].cpu;
        let gva = Gva::new(va);
        self.persist(30, |machine| match by_fault {
            true => machine.mmu.page_fault_delivered(&cpu, gva, &machine.ram, &mut machine.kernel),
            false => machine.mmu.invlpg(&cpu, gva, &machine.ram, &mut machine.kernel),
        });
        self.vcpus[self.running].history.invalidate(va, by_fault);
        // What is still mapped must be what a walk gives from here on.
        self.observe();
    }

    /// An access, to its end.
    fn access(&mut self, va: u64, access: Access) -> Option<Gfn> {
        let Vcpu { cpu, space, .. } = self.vcpus[self.running];
        let write = access == Access::Write;
        let mut tries = 0;
        for _ in 0..2000 {
            assert!(tries <= 8, "no progress at {va:#x}");
            tries += 1;
            if let Some((gfn, writable)) = self.machine.kernel.access(space, Gva::new(va))
                && (writable || !write)
            {
                return Some(gfn);
            }
            let expected = reference::access(
                &self.machine.ram,
                cpu.root.base().get(),
                va,
                write,
                cpu.user,
                cpu.write_protect,
            );
            self.machine.kernel.take_calls();
            let outcome = self.machine.mmu.handle_fault(
                &cpu,
                Gva::new(va),
                access,
                &self.machine.ram,
                &mut self.machine.kernel,
            );
            // The request that waits may not have followed a write yet.
            match self.in_interlude {
                true => self.machine.check_records(),
                false => self.machine.check(),
            }
            assert!(
                self.machine.kernel.calls.len() <= FAULT_LIMIT + self.budget,
                "{:?}",
                self.machine.kernel.calls
            );
            self.observe();
            let raced = !self.machine.kernel.seen.is_empty();
            self.machine.kernel.seen.clear();
            match (outcome, expected) {
                (FaultOutcome::GuestFault(_), _) if raced => {
                    self.invalidate(va, true);
                    return None;
                }
                (_, _) if raced => {}
                (FaultOutcome::Filled { gfn, .. }, Ok((page, _))) => {
                    assert_eq!(gfn.get(), page.frame_of(va));
                    let (mapped, writable) =
                        self.machine.kernel.access(space, Gva::new(va)).expect("filled");
                    assert!(mapped == gfn && (writable || !write), "the fault was fixed");
                }
                (FaultOutcome::Failed(_), Ok(_)) => {}
                // No sign of being stuck.
                (FaultOutcome::Again, Ok(_)) => tries = 0,
                (FaultOutcome::GuestFault(fault), Err(code)) => {
                    assert_eq!(fault.code.bits(), code);
                    self.invalidate(va, true);
                    return None;
                }
                (FaultOutcome::NotRam { gpa, .. }, Ok((page, _))) => {
                    assert_eq!(gpa.gfn().get(), page.frame_of(va));
                    assert!(page.frame_of(va) >= FRAMES.into());
                    return None;
                }
                (FaultOutcome::ReadOnlyMemory { gpa }, Ok((page, _))) => {
                    assert!(
                        write && page.frame_of(va) == READ_ONLY && gpa.gfn().get() == READ_ONLY
                    );
                    return None;
                }
                (outcome, expected) => panic!("{outcome:?}, but the reference says {expected:x?}"),
            }
        }
        panic!("the fault is never done with");
    }

    pub fn observe(&mut self) {
        let addresses = addresses();
        for vcpu in &mut self.vcpus {
            for ram in &self.machine.kernel.seen {
                vcpu.history.observe(ram, vcpu.cpu.root, &addresses);
            }
            vcpu.history.observe(&self.machine.ram, vcpu.cpu.root, &addresses);
        }
    }

    pub fn check(&self) {
        self.machine.check();
        let mut cursor = self.audited.get();
        let audited = self.machine.mmu.audit_some(&mut cursor, 9, &self.machine.ram);
        audited.expect("invariants hold");
        self.audited.set(cursor);
        for vcpu in &self.vcpus {
            for va in addresses() {
                if let Some((gfn, writable)) = self.machine.kernel.access(vcpu.space, Gva::new(va))
                {
                    let legal = vcpu.history.allows(&vcpu.cpu, va, gfn.get(), writable)
                        && !(writable && gfn.get() == READ_ONLY);
                    assert!(
                        legal,
                        "{va:#x} -> {gfn:?}, W {writable}: no TLB of {:?} may hold that",
                        vcpu.cpu
                    );
                }
            }
        }
    }
}

pub fn run(pools: Pools, policy: Policy, steps: &[Step]) {
    let mut world = World::new(pools, policy);
    world.observe();
    for step in steps {
        world.machine.kernel.seen.clear();
        world.apply(step);
        world.observe();
        world.check();
    }
}

/// Tables that point to each other, so that every address translates from the
/// start.
pub fn prelude() -> Vec<Step> {
    let entries = (1..=TABLES).flat_map(|table| (0..SLOTS).map(move |slot| (table, slot)));
    entries
        .map(|(table, slot)| Step::Write {
            table,
            slot,
            target: 1 + (3 * table + 5 * slot as u64) % TABLES,
            flags: P | W | U,
        })
        .collect()
}
