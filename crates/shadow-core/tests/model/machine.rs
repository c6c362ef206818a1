//! A guest's memory, its shadow MMU and the kernel, in one.

use shadow_core::{
    Access, FaultOutcome, PagingContext, Policy, Pools, ShadowMmu, SpaceId, Storage, VcpuId,
};
use x86::{Gfn, Gpa, Gpte, Gva, Level};

use super::kernel::{Call, Kernel};
use super::memory::Ram;

/// Pools small enough that every kind of reuse happens.
pub const SMALL: Pools =
    Pools { frames: 1024, extra_copies: 8, spaces: 3, pdpts: 6, pds: 6, pts: 6 };

/// Pools that ordinary guests fit in.
pub const ROOMY: Pools =
    Pools { frames: 1024, extra_copies: 256, spaces: 8, pdpts: 16, pds: 32, pts: 64 };

pub const P: u64 = 1;
pub const W: u64 = 2;
pub const U: u64 = 4;
pub const A: u64 = 0x20;
pub const D: u64 = 0x40;
pub const PS: u64 = 0x80;

/// Where [`Machine::store`] maps frames.
pub const DIRECT: u64 = 0x7000_0000_0000;

pub struct Machine {
    pub ram: Ram,
    pub mmu: ShadowMmu<'static>,
    pub kernel: Kernel,
    pub cpu: PagingContext,
    /// Whether the kernel refused an operation of a store.
    pub refused: bool,
    next_table: u64,
}

impl Machine {
    /// A machine whose guest root is an empty table in frame 1.
    pub fn new(pools: Pools) -> Self {
        Self::with_policy(pools, Policy::DEFAULT)
    }

    pub fn with_policy(pools: Pools, policy: Policy) -> Self {
        let words = vec![0x5a5a_5a5a_5a5a_5a5a_u64; pools.required_bytes().div_ceil(8)].leak();
        let storage =
            Storage::carve(zerocopy::IntoBytes::as_mut_bytes(words), pools).expect("fits");
        let mut machine = Self {
            ram: Ram::new(pools.frames.into()),
            mmu: ShadowMmu::new(storage, Box::leak(Box::default()), policy),
            kernel: Kernel::new(&pools),
            cpu: PagingContext {
                vcpu: VcpuId::BOOT,
                root: Gfn::new(1),
                write_protect: true,
                user: false,
            },
            refused: false,
            next_table: 2,
        };
        machine
            .mmu
            .load_cr3(&machine.cpu, &machine.ram, &mut machine.kernel)
            .expect("kernel works");
        machine
    }

    pub fn space(&mut self) -> SpaceId {
        self.mmu.activate(&self.cpu, &mut self.kernel).expect("kernel works")
    }

    /// Address of the entry of `level` for `va`, making tables on the way with
    /// all rights.
    pub fn entry(&mut self, level: Level, va: u64) -> u64 {
        let mut table = self.cpu.root.get();
        for at in Level::TOP_DOWN {
            let gpa = table * 4096 + at.index(Gva::new(va)) as u64 * 8;
            if at == level {
                return gpa;
            }
            if self.ram.peek(gpa) & P == 0 {
                self.poke(gpa, self.next_table << 12 | P | W | U);
                self.next_table += 1;
            }
            table = Gpte::from_bits_retain(self.ram.peek(gpa)).gfn(at).get();
        }
        unreachable!("the level is one of the four")
    }

    /// Maps the page at `va` to `gfn` in the guest's tables.
    pub fn map(&mut self, va: u64, gfn: u64, flags: u64) {
        let gpa = self.entry(Level::L1, va);
        self.poke(gpa, gfn << 12 | flags);
    }

    /// A store by a server or device: the shadow is told.
    pub fn poke(&mut self, gpa: u64, value: u64) {
        self.ram.poke(gpa, value);
        let mut written = || self.mmu.guest_written(Gpa::new(gpa), 8, &self.ram, &mut self.kernel);
        if written().is_err() {
            self.refused = true;
            written().expect("one refusal at a time");
        }
    }

    /// A store by the guest: through its direct map, if the shadow lets it pass.
    pub fn store(&mut self, gpa: u64, value: u64) {
        let va = DIRECT | gpa & !0xfff;
        let entry = self.entry(Level::L1, va);
        if self.ram.peek(entry) == 0 {
            self.poke(entry, gpa & !0xfff | P | W | U | A | D);
        }
        let written = self.touch(va, Access::Write);
        assert_eq!(written, Ok(Gpa::new(gpa).gfn()), "the direct map is there");
        self.ram.poke(gpa, value);
    }

    /// Unlinks the table for `va` as one: its entry goes away and comes back.
    pub fn unlink(&mut self, va: u64) {
        let entry = self.entry(Level::L2, va);
        let old = self.ram.peek(entry);
        self.poke(entry, 0);
        self.poke(entry, old);
    }

    /// Loads roots until the space of the first one was recycled; gives the
    /// operations of the last load.
    pub fn recycle_first_space(&mut self) -> Vec<Call> {
        for root in 600.. {
            self.kernel.take_calls();
            self.load_cr3(root);
            if self.space().index() == 0 {
                return self.kernel.take_calls();
            }
        }
        unreachable!("there are fewer spaces than roots")
    }

    pub fn fault(&mut self, va: u64, access: Access) -> FaultOutcome {
        self.mmu.handle_fault(&self.cpu, Gva::new(va), access, &self.ram, &mut self.kernel)
    }

    /// Whether the shadow lets the access pass without a fault.
    pub fn allows(&mut self, va: u64, access: Access) -> Option<Gfn> {
        let space = self.space();
        let (gfn, writable) = self.kernel.access(space, Gva::new(va))?;
        (writable || access != Access::Write).then_some(gfn)
    }

    /// Makes an access as the guest would: faults until it passes or the
    /// guest is told something. Panics if that takes more than 8 faults.
    pub fn touch(&mut self, va: u64, access: Access) -> Result<Gfn, FaultOutcome> {
        for _ in 0..=8 {
            if let Some(gfn) = self.allows(va, access) {
                return Ok(gfn);
            }
            match self.fault(va, access) {
                FaultOutcome::Filled { .. } | FaultOutcome::Retry => {}
                other => return Err(other),
            }
        }
        panic!("no progress at {va:#x}");
    }

    /// Carries out an instruction at `code` that writes `gpa` through the direct
    /// map: both must be allowed at once.
    pub fn execute(&mut self, code: u64, gpa: u64, value: u64) {
        let va = DIRECT | gpa & !0xfff;
        for _ in 0..=8 {
            let missing = if self.allows(code, Access::Execute).is_none() {
                (code, Access::Execute)
            } else if self.allows(va, Access::Write).is_none() {
                (va, Access::Write)
            } else {
                return self.ram.poke(gpa, value);
            };
            let outcome = self.fault(missing.0, missing.1);
            assert!(matches!(outcome, FaultOutcome::Filled { .. }), "{outcome:?}");
        }
        panic!("no progress at {code:#x}");
    }

    pub fn invlpg(&mut self, va: u64) {
        self.mmu
            .invlpg(&self.cpu, Gva::new(va), &self.ram, &mut self.kernel)
            .expect("kernel works");
    }

    pub fn load_cr3(&mut self, root: u64) {
        self.cpu.root = Gfn::new(root);
        self.mmu.load_cr3(&self.cpu, &self.ram, &mut self.kernel).expect("kernel works");
    }

    /// The records' own invariants, and that the kernel's tables hold exactly
    /// the leaves that the records say.
    pub fn check(&self) {
        self.mmu.audit_contents(&self.ram).expect("tables and what was built from them agree");
        self.check_records();
    }

    /// As [`Self::check`], but what was built from tables may lag: the kernel
    /// refused an operation, and the request will be repeated.
    pub fn check_records(&self) {
        self.mmu.audit().expect("invariants hold");
        let mut recorded: Vec<_> = self
            .mmu
            .live_leaves()
            .map(|leaf| (leaf.space.index(), leaf.gva.get(), leaf.gfn.get(), leaf.writable))
            .collect();
        let mut real = self.kernel.reachable();
        recorded.sort_unstable();
        real.sort_unstable();
        assert_eq!(recorded, real, "records (left) and kernel (right) differ");
    }
}
