//! Out-of-sync pages and fixups in other numbers than the usual: from the
//! floors to 16.

use crate::model::kernel::Kernel;
use crate::model::machine::{ROOMY, SMALL};
use crate::model::memory::Ram;
use crate::model::scenario::ALL;
use crate::model::world::{FRAMES, run};
use shadow_core::{Access, FaultOutcome, PagingContext, Policy, Pools, ShadowMmu, Storage, VcpuId};
use x86::{Gfn, Gva};

const POOLS: Pools = Pools { frames: 1024, ..ROOMY };
/// The tables that go out of sync, one after the other: their homes differ.
const FIRST_TABLE: u64 = 96;
/// Their windows: table `FIRST_TABLE + n` shadows region `n`.
const REGION: u64 = 0x20_0000;
/// Where tables are mapped to be written: region 100, page by page.
const ALIASES: u64 = 100 * REGION;

const TABLES: u64 = 18;

struct Sized<const PAGES: usize, const FIXUPS: usize> {
    ram: Ram,
    kernel: Kernel,
    mmu: ShadowMmu<'static, PAGES, FIXUPS>,
    cpu: PagingContext,
}

impl<const PAGES: usize, const FIXUPS: usize> Sized<PAGES, FIXUPS> {
    fn new() -> Self {
        let bytes = POOLS.required_bytes_with(PAGES);
        let words = vec![0_u64; bytes.div_ceil(8)].leak();
        let region = zerocopy::IntoBytes::as_mut_bytes(words);
        let storage = Storage::carve_with(region, POOLS, PAGES).expect("fits");
        let mut this = Self {
            ram: Ram::new(POOLS.frames.into()),
            kernel: Kernel::new(&POOLS),
            mmu: ShadowMmu::new(storage, Box::leak(Box::default()), Policy::DEFAULT),
            cpu: PagingContext {
                vcpu: VcpuId::BOOT,
                root: Gfn::new(1),
                write_protect: true,
                user: false,
            },
        };
        this.ram.poke(1 << 12, 2 << 12 | ALL);
        this.ram.poke(2 << 12, 3 << 12 | ALL);
        this.ram.poke(3 << 12 | 100 << 3, 4 << 12 | ALL);
        for number in 0..TABLES {
            let table = FIRST_TABLE + number;
            this.ram.poke(3 << 12 | number << 3, table << 12 | ALL);
            this.ram.poke(table << 12, 500 << 12 | ALL);
        }
        let loaded = this.mmu.load_cr3(&this.cpu, &this.ram, &mut this.kernel);
        loaded.expect("kernel works");
        for number in 0..TABLES {
            this.touch(number * REGION, Access::Read);
        }
        this
    }

    fn allows(&self, va: u64, access: Access) -> bool {
        let space = shadow_core::SpaceId::new(0);
        let found = self.kernel.access(space, Gva::new(va));
        found.is_some_and(|(_, writable)| writable || access == Access::Read)
    }

    fn touch(&mut self, va: u64, access: Access) {
        let outcome =
            self.mmu.handle_fault(&self.cpu, Gva::new(va), access, &self.ram, &mut self.kernel);
        assert!(matches!(outcome, FaultOutcome::Filled { .. }), "{outcome:?}");
        self.mmu.audit().expect("invariants hold");
        self.mmu.audit_contents(&self.ram).expect("in step");
        assert!(self.allows(va, access));
    }

    /// Writes table number `number` through alias number `alias`.
    fn write(&mut self, number: u64, alias: u64) {
        let entry = (FIRST_TABLE + number) << 12 | ALL;
        self.ram.poke(4 << 12 | alias << 3, entry);
        let told = self.mmu.guest_written(
            x86::Gpa::new(4 << 12 | alias << 3),
            8,
            &self.ram,
            &mut self.kernel,
        );
        told.expect("kernel works");
        self.touch(ALIASES + alias * 4096, Access::Write);
    }
}

fn pages_and_fixups<const PAGES: usize, const FIXUPS: usize>() {
    let mut sized = Sized::<PAGES, FIXUPS>::new();
    for number in 0..PAGES as u64 {
        sized.write(number, number);
    }
    assert_eq!(sized.mmu.counters().unsync, PAGES as u64);
    assert_eq!(sized.mmu.counters().unsync_evict, 0, "{PAGES} pages");
    sized.write(PAGES as u64, PAGES as u64);
    assert_eq!(sized.mmu.counters().unsync_evict, 1, "one more");

    let mut sized = Sized::<PAGES, FIXUPS>::new();
    for alias in 0..FIXUPS as u64 {
        sized.write(0, alias);
    }
    assert_eq!(sized.mmu.counters().oos_fixup_evict, 0, "{FIXUPS} fixups");
    sized.write(0, FIXUPS as u64);
    assert_eq!(sized.mmu.counters().oos_fixup_evict, 1, "one more");
    assert!(!sized.allows(ALIASES, Access::Write), "the first gave way");
    assert!(sized.allows(ALIASES + 4096, Access::Write));
}

#[test]
fn from_the_floors_to_sixteen() {
    pages_and_fixups::<2, 2>();
    pages_and_fixups::<3, 2>();
    pages_and_fixups::<4, 3>();
    pages_and_fixups::<8, 4>();
    pages_and_fixups::<16, 16>();
}

/// Rights that change by Unmap and Map: the random guests of `legal.rs`.
#[test]
fn without_remap_guests_see_the_same() {
    use crate::model::world::{prelude, step};
    use proptest::strategy::{Strategy, ValueTree};
    let policy = Policy { remap: false, ..Policy::DEFAULT };
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 160);
    for pools in [SMALL, ROOMY] {
        let pools = Pools { frames: FRAMES, ..pools };
        for _ in 0..15 {
            let steps = steps.new_tree(&mut runner).expect("steps").current();
            run(pools, policy, &[prelude(), steps].concat());
        }
    }
}

/// Capability operations for each round in which `tables` tables are written,
/// once each, and a CR3 load ends it.
fn operations_of_a_round<const PAGES: usize>(tables: u64) -> usize {
    let mut sized = Sized::<PAGES, 2>::new();
    let mut operations = 0;
    for round in 0..4 {
        sized.kernel.take_calls();
        for number in 0..tables {
            let va = ALIASES + number * 4096;
            if round == 0 {
                sized.write(number, number);
            } else if !sized.allows(va, Access::Write) {
                sized.touch(va, Access::Write);
            }
        }
        let loaded = sized.mmu.load_cr3(&sized.cpu, &sized.ram, &mut sized.kernel);
        loaded.expect("kernel works");
        operations = sized.kernel.take_calls().len();
    }
    operations
}

/// The table of `docs/shadow-mmu.md`: tables that are written once between two
/// CR3 loads cost the same however many slots there are, since an eviction does
/// what the load would do.
#[test]
fn more_pages_save_nothing_where_tables_are_written_once() {
    for tables in [1, 2, 4, 8, 16] {
        let costs = [
            operations_of_a_round::<2>(tables),
            operations_of_a_round::<3>(tables),
            operations_of_a_round::<8>(tables),
            operations_of_a_round::<16>(tables),
        ];
        assert_eq!(costs, [2 * tables as usize; 4]);
    }
}

/// Tables written in turn, four times each, between two CR3 loads: evictions
/// with 2, 3, 8 and 16 pages.
#[test]
fn tables_written_in_turn_are_evicted_where_pages_are_few() {
    fn evictions<const PAGES: usize>(tables: u64) -> u64 {
        let mut sized = Sized::<PAGES, 2>::new();
        for turn in 0..4 * tables {
            let (number, va) = (turn % tables, ALIASES + turn % tables * 4096);
            if turn < tables {
                sized.write(number, number);
            } else if !sized.allows(va, Access::Write) {
                sized.touch(va, Access::Write);
            }
        }
        sized.mmu.counters().unsync_evict
    }
    for (tables, expected) in [
        (2, [0, 0, 0, 0]),
        (3, [5, 0, 0, 0]),
        (4, [10, 5, 0, 0]),
        (8, [22, 21, 0, 0]),
        (12, [34, 33, 20, 0]),
        (16, [46, 45, 40, 0]),
    ] {
        let found = [
            evictions::<2>(tables),
            evictions::<3>(tables),
            evictions::<8>(tables),
            evictions::<16>(tables),
        ];
        assert_eq!(found, expected, "{tables} tables");
    }
}
