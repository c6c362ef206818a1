//! Random guests: whatever the shadow lets pass, some TLB could have held.
//!
//! The guest changes its tables, accesses memory, invalidates, switches roots
//! and modes, on two vCPUs. For every vCPU a history keeps the translations
//! that its TLB may legally hold: all that the guest's tables have said since
//! the last invalidation that covers them. After every step, every page that
//! the kernel's tables let a vCPU reach must be in its history with the rights
//! that the mapping gives; the records must satisfy S1–S12 and agree with the
//! kernel; and no request may use more operations than documented.

mod model;

use model::machine::{A, D, Machine, P, PS, ROOMY, SMALL, U, W};
use model::reference::{self, Page};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use shadow_core::{
    Access, FaultOutcome, MapError, PagingContext, Policy, Pools, Promotion, SpaceId, VcpuId,
};
use x86::{Gfn, Gva};

/// Frames 1 to 8 serve as tables (at any level, and as data); roots are 1 and 2.
const TABLES: u64 = 8;
const READ_ONLY: u64 = 9;
/// Through these tables both roots map all frames, at an address that random
/// entries leave alone; stores to tables go there.
const DIRECT_TABLES: [u64; 3] = [13, 14, 15];
const DIRECT_SLOT: u64 = 200;
const DIRECT: u64 = DIRECT_SLOT << 39;
/// Few frames, so that frames are mapped at many places and audits are quick.
const FRAMES: u32 = 16;

#[derive(Clone, Debug)]
enum Step {
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
    /// Let the kernel refuse an operation after that many.
    FailAfter(u32),
}

/// Superpages at aligned frames only, or they are malformed.
fn entry(target: u64, flags: u64) -> u64 {
    let target = if flags & PS != 0 {
        target & 512
    } else {
        target
    };
    target << 12 | flags
}

const RECORDED: Policy = Policy {
    promotion: Promotion::Recorded,
    ..Policy::DEFAULT
};

/// Operations of one fault and of one CR3 load at most, as documented.
const FAULT_LIMIT: usize = 60;
const LOAD_LIMIT: usize = 400;

/// Slots used on each level: four on level 1, two above.
const SLOTS: usize = 4;

fn addresses() -> Vec<u64> {
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

fn flags() -> impl Strategy<Value = u64> {
    let bit = |value: u64, weight: f64| {
        proptest::bool::weighted(weight).prop_map(move |on| if on { value } else { 0 })
    };
    let rights = (bit(P, 0.97), bit(W, 0.85), bit(U, 0.85));
    let rest = (bit(A, 0.5), bit(D, 0.5), bit(PS, 0.15), bit(1 << 63, 0.01));
    (rights, rest).prop_map(|((p, w, u), (a, d, ps, reserved))| p | w | u | a | d | ps | reserved)
}

fn target() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1..=TABLES,
        2 => 1..=READ_ONLY + 3,
        1 => Just(READ_ONLY),
        1 => Just(0_u64),
        1 => Just(512_u64),
        1 => Just(5000_u64),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let va = 0..addresses().len();
    let access = prop_oneof![
        Just(Access::Read),
        Just(Access::Write),
        Just(Access::Execute)
    ];
    prop_oneof![
        8 => (1..=TABLES, 0..SLOTS, target(), flags())
            .prop_map(|(table, slot, target, flags)| Step::Write { table, slot, target, flags }),
        3 => (va.clone(), 0..SLOTS, target(), flags())
            .prop_map(|(va, slot, target, flags)| Step::Store { va, slot, target, flags }),
        24 => (va.clone(), access).prop_map(|(va, access)| Step::Access { va, access }),
        3 => va.prop_map(|va| Step::Invlpg { va }),
        2 => (1..=2_u64).prop_map(|root| Step::LoadCr3 { root }),
        2 => any::<bool>().prop_map(Step::User),
        1 => any::<bool>().prop_map(Step::WriteProtect),
        1 => Just(Step::ModeChange),
        1 => (0..READ_ONLY + 3).prop_map(|frame| Step::Revoke { frame }),
        2 => Just(Step::SwitchVcpu),
        2 => (0..12_u32).prop_map(Step::FailAfter),
    ]
}

/// What a vCPU's TLB may hold.
#[derive(Default)]
struct History(Vec<Page>);

impl History {
    fn observe(&mut self, machine: &Machine, root: Gfn) {
        for va in addresses() {
            if let Ok((page, _)) = reference::lookup(&machine.ram, root.base().get(), va)
                && !self.0.contains(&page)
            {
                self.0.push(page);
            }
        }
    }

    fn invalidate(&mut self, va: u64) {
        self.0.retain(|page| !page.covers(va));
    }

    fn allows(&self, cpu: &PagingContext, va: u64, frame: u64, writable: bool) -> bool {
        self.0.iter().any(|page| {
            let write_ok =
                page.d && (page.w || (!cpu.user && !cpu.write_protect)) && frame != READ_ONLY;
            page.covers(va)
                && page.frame_of(va) == frame
                && page.a
                && (page.u || !cpu.user)
                && (write_ok || !writable)
        })
    }
}

struct Vcpu {
    cpu: PagingContext,
    space: SpaceId,
    history: History,
}

struct World {
    machine: Machine,
    vcpus: [Vcpu; 2],
    running: usize,
    most_pdpts: usize,
}

/// Repeats a request that the kernel refused, as the server does.
fn persist<T>(
    machine: &mut Machine,
    limit: usize,
    mut request: impl FnMut(&mut Machine) -> Result<T, MapError>,
) -> T {
    for _ in 0..4 {
        machine.kernel.take_calls();
        let result = request(machine);
        machine.check();
        assert!(
            machine.kernel.calls.len() <= limit,
            "{} operations of {limit}",
            machine.kernel.calls.len()
        );
        if let Ok(done) = result {
            return done;
        }
    }
    panic!("only one refusal is injected at a time");
}

impl World {
    fn new(pools: Pools, policy: Policy) -> Self {
        let mut machine = Machine::with_policy(pools, policy);
        machine.mmu.set_read_only(Gfn::new(READ_ONLY), 1);
        let all = P | W | U | A | D;
        for root in [1, 2] {
            machine
                .ram
                .poke(root << 12 | DIRECT_SLOT << 3, DIRECT_TABLES[0] << 12 | all);
        }
        machine
            .ram
            .poke(DIRECT_TABLES[0] << 12, DIRECT_TABLES[1] << 12 | all);
        machine
            .ram
            .poke(DIRECT_TABLES[1] << 12, DIRECT_TABLES[2] << 12 | all);
        for frame in 0..u64::from(FRAMES) {
            let entry = DIRECT_TABLES[2] << 12 | frame << 3;
            machine.ram.poke(entry, frame << 12 | all);
        }
        let vcpus = [0, 1].map(|number| {
            let vcpu = VcpuId::new(number).expect("two vCPUs");
            let cpu = PagingContext {
                vcpu,
                ..machine.cpu
            };
            let space = machine
                .mmu
                .load_cr3(&cpu, &machine.ram, &mut machine.kernel)
                .expect("kernel works");
            Vcpu {
                cpu,
                space,
                history: History::default(),
            }
        });
        Self {
            machine,
            vcpus,
            running: 0,
            most_pdpts: pools.pdpts.into(),
        }
    }

    fn emptying_limit(&self) -> usize {
        LOAD_LIMIT + self.most_pdpts
    }

    fn activate(&mut self, cpu: PagingContext) {
        let limit = self.emptying_limit();
        let space = persist(&mut self.machine, limit, |machine| {
            machine.mmu.activate(&cpu, &mut machine.kernel)
        });
        let vcpu = &mut self.vcpus[self.running];
        (vcpu.cpu, vcpu.space) = (cpu, space);
    }

    fn apply(&mut self, step: &Step) {
        let cpu = self.vcpus[self.running].cpu;
        match *step {
            Step::Write {
                table,
                slot,
                target,
                flags,
            } => {
                let value = entry(target, flags);
                self.store(DIRECT | table << 12, slot, value);
            }
            Step::Store {
                va,
                slot,
                target,
                flags,
            } => self.store(addresses()[va], slot, entry(target, flags)),
            Step::Access { va, access } => {
                self.access(addresses()[va], access);
            }
            Step::Invlpg { va } => self.invalidate(addresses()[va], false),
            Step::LoadCr3 { root } => {
                let cpu = PagingContext {
                    root: Gfn::new(root),
                    ..cpu
                };
                let limit = self.emptying_limit();
                let space = persist(&mut self.machine, limit, |machine| {
                    machine
                        .mmu
                        .load_cr3(&cpu, &machine.ram, &mut machine.kernel)
                });
                self.vcpus[self.running] = Vcpu {
                    cpu,
                    space,
                    history: History::default(),
                };
            }
            Step::User(user) => self.activate(PagingContext { user, ..cpu }),
            Step::WriteProtect(write_protect) => self.activate(PagingContext {
                write_protect,
                ..cpu
            }),
            Step::ModeChange => {
                let limit = self.emptying_limit();
                let space = persist(&mut self.machine, limit, |machine| {
                    machine
                        .mmu
                        .paging_mode_changed(&cpu, &machine.ram, &mut machine.kernel)
                });
                self.vcpus[self.running] = Vcpu {
                    cpu,
                    space,
                    history: History::default(),
                };
            }
            Step::Revoke { frame } => persist(&mut self.machine, 1, |machine| {
                machine
                    .mmu
                    .remove_all_mappings(Gfn::new(frame), &mut machine.kernel)
            }),
            Step::SwitchVcpu => self.running ^= 1,
            Step::FailAfter(calls) => self.machine.kernel.fail_after = Some(calls),
        }
    }

    /// What a store instruction does: it goes where the shadow leads it, once
    /// that lets it pass.
    fn store(&mut self, va: u64, slot: usize, value: u64) {
        if let Some(gfn) = self.access(va, Access::Write)
            && !DIRECT_TABLES.contains(&gfn.get())
        {
            self.machine
                .ram
                .poke(gfn.base().get() | (slot as u64) << 3, value);
        }
    }

    fn invalidate(&mut self, va: u64, by_fault: bool) {
        let cpu = self.vcpus[self.running].cpu;
        let gva = Gva::new(va);
        persist(&mut self.machine, 30, |machine| match by_fault {
            true => machine
                .mmu
                .page_fault_delivered(&cpu, gva, &machine.ram, &mut machine.kernel),
            false => machine
                .mmu
                .invlpg(&cpu, gva, &machine.ram, &mut machine.kernel),
        });
        self.vcpus[self.running].history.invalidate(va);
        let space = self.vcpus[self.running].space;
        let mapped = self.machine.kernel.access(space, gva);
        assert!(!by_fault || mapped.is_none(), "still mapped after #PF");
    }

    /// An access, to its end.
    fn access(&mut self, va: u64, access: Access) -> Option<Gfn> {
        let Vcpu { cpu, space, .. } = self.vcpus[self.running];
        let write = access == Access::Write;
        for _ in 0..=8 {
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
            self.machine.check();
            assert!(
                self.machine.kernel.calls.len() <= FAULT_LIMIT,
                "{:?}",
                self.machine.kernel.calls
            );
            self.observe();
            match (outcome, expected) {
                (FaultOutcome::Filled { gfn, .. }, Ok((page, _))) => {
                    assert_eq!(gfn.get(), page.frame_of(va));
                    let (mapped, writable) = self
                        .machine
                        .kernel
                        .access(space, Gva::new(va))
                        .expect("filled");
                    assert!(mapped == gfn && (writable || !write), "the fault was fixed");
                }
                (FaultOutcome::Failed(_), Ok(_)) => {}
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
        panic!("no progress at {va:#x}");
    }

    fn observe(&mut self) {
        for vcpu in &mut self.vcpus {
            vcpu.history.observe(&self.machine, vcpu.cpu.root);
        }
    }

    fn check(&self) {
        self.machine.check();
        for vcpu in &self.vcpus {
            for va in addresses() {
                if let Some((gfn, writable)) = self.machine.kernel.access(vcpu.space, Gva::new(va))
                {
                    let legal = vcpu.history.allows(&vcpu.cpu, va, gfn.get(), writable);
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

fn run(pools: Pools, policy: Policy, steps: &[Step]) {
    let mut world = World::new(pools, policy);
    world.observe();
    for step in steps {
        world.apply(step);
        world.observe();
        world.check();
    }
}

/// Tables that point to each other, so that every address translates from the
/// start.
fn prelude() -> Vec<Step> {
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

/// Cases in an ordinary run; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        default.cases
    } else {
        40
    };
    ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn small_pools_stay_legal(steps in prop::collection::vec(step(), 1..160)) {
        run(Pools { frames: FRAMES, ..SMALL }, Policy::DEFAULT, &[prelude(), steps].concat());
    }

    #[test]
    fn roomy_pools_stay_legal(steps in prop::collection::vec(step(), 1..160)) {
        run(Pools { frames: FRAMES, ..ROOMY }, RECORDED, &[prelude(), steps].concat());
    }
}

/// Guards against a vacuous test: one long run must cause every event.
#[test]
fn a_long_run_causes_every_event() {
    let mut runner = TestRunner::deterministic();
    let pools = Pools {
        frames: FRAMES,
        ..SMALL
    };
    let mut world = World::new(pools, Policy::DEFAULT);
    world.observe();
    for _ in 0..40 {
        prelude().iter().for_each(|step| world.apply(step));
        for _ in 0..100 {
            let step = step().new_tree(&mut runner).expect("a step").current();
            world.apply(&step);
            world.observe();
            world.check();
        }
    }
    for (name, count) in world.machine.mmu.counters().entries() {
        println!("{name:24} {count}");
        // Those need interference or a damaged kernel, and have tests of their own.
        let elsewhere = [
            "inconsistent_gwalk",
            "heal",
            "copy_evict",
            "writeable_bf_1",
            "prefault",
            "server_write",
        ]
        .contains(&name);
        assert!(count > 0 || elsewhere, "no {name} in the whole run");
    }
}
