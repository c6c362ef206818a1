//! Random guests: whatever the shadow lets pass, some TLB could have held.
//!
//! The guest changes its tables, accesses memory, invalidates, switches roots
//! and modes, on two vCPUs. For every vCPU a history keeps the translations
//! that its TLB may legally hold: all that the guest's tables have said since
//! the last invalidation that covers them. After every step, every page that
//! the kernel's tables let a vCPU reach must be in its history with the rights
//! that the mapping gives; the records must satisfy S1–S12 and agree with the
//! kernel; and no request may use more operations than documented.

use crate::model::machine::{ROOMY, SMALL};
use crate::model::world::{FRAMES, HASTY, RECORDED, World, prelude, run, step};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use shadow_core::{Policy, Pools};

/// Cases of each test in an ordinary run, of 80 steps on average after the
/// prelude: more than a million in all. `PROPTEST_CASES` asks for more.
const CASES: u32 = 4200;

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    ProptestConfig { cases, max_shrink_iters: 20_000, failure_persistence: None, ..default }
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

    /// Long requests end early, and the other vCPU goes on in between.
    #[test]
    fn requests_in_parts_stay_legal(steps in prop::collection::vec(step(), 1..160)) {
        run(Pools { frames: FRAMES, ..SMALL }, HASTY, &[prelude(), steps].concat());
    }
}

/// Guards against a vacuous test: one long run must cause every event.
#[test]
fn a_long_run_causes_every_event() {
    let mut runner = TestRunner::deterministic();
    let pools = Pools { frames: FRAMES, ..SMALL };
    let mut world = World::new(pools, Policy::DEFAULT);
    world.observe();
    for _ in 0..40 {
        prelude().iter().for_each(|step| world.apply(step));
        for _ in 0..100 {
            let step = step().new_tree(&mut runner).expect("a step").current();
            world.machine.kernel.seen.clear();
            world.apply(&step);
            world.observe();
            world.check();
        }
    }
    for (name, count) in world.machine.mmu.counters().entries() {
        println!("{name:24} {count}");
        // Those need interference or a damaged kernel, and have tests of their own.
        let elsewhere =
            ["inconsistent_gwalk", "heal", "copy_evict", "writeable_bf_1", "prefault", "unshadow"]
                .contains(&name);
        assert!(count > 0 || elsewhere, "no {name} in the whole run");
    }
}
