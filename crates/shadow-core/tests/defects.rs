//! Mistakes planted on purpose: the random guests of `legal.rs` notice each.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::model::machine::{ROOMY, SMALL};
use crate::model::world::{FRAMES, RECORDED, prelude, run, step};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use shadow_core::{Defect, Policy, Pools};

const CASES: usize = 600;

/// How many cases it took until the mistake was noticed.
fn cases_until_caught(defect: Option<Defect>) -> Option<usize> {
    let mut runner = TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 160);
    (0..CASES).find(|case| {
        let steps = steps.new_tree(&mut runner).expect("steps").current();
        let (pools, policy) = match case % 2 {
            0 => (SMALL, Policy::DEFAULT),
            _ => (ROOMY, RECORDED),
        };
        let pools = Pools { frames: FRAMES, ..pools };
        let policy = Policy { defect, ..policy };
        let steps = [prelude(), steps].concat();
        catch_unwind(AssertUnwindSafe(|| run(pools, policy, &steps))).is_err()
    })
}

/// R7 needs a sibling at the right moment: the scenario of
/// `eviction_of_the_table_just_walked` in `out_of_sync.rs`, with the mistake.
#[test]
fn r7_walk_kept_after_eviction() {
    let policy = Policy { defect: Some(Defect::WalkKept), ..RECORDED };
    let run = || crate::model::scenario::eviction_of_the_table_just_walked(policy);
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "nobody noticed");
}

/// R8: the scenario of `code_writes_the_table_that_maps_it` in `out_of_sync.rs`,
/// with the mistake.
#[test]
fn r8_tables_given_up_again_and_again() {
    let policy = Policy { defect: Some(Defect::UnshadowedAgain), ..Policy::DEFAULT };
    let run = || crate::model::scenario::code_writes_the_table_that_maps_it(policy);
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "nobody noticed");
}

#[test]
fn nothing_planted_nothing_caught() {
    assert_eq!(cases_until_caught(None), None);
}

macro_rules! caught {
    ($($test:ident: $defect:ident,)*) => {
        $(#[test]
        fn $test() {
            let caught = cases_until_caught(Some(Defect::$defect));
            println!("caught {:?} {caught:?}", Defect::$defect);
            assert!(caught.is_some(), "nobody noticed");
        })*
    };
}

caught! {
    r1_instances_of_another_origin: OriginIgnored,
    r2_detached_tables_reused_full: DetachedReused,
    r3_divergence_forgotten: DivergenceForgotten,
    r3_one_of_several_instances: OneInstanceSynced,
    r4_leaves_derived_off_the_path: PathUnchecked,
    r5_invlpg_in_one_view: OneViewInvalidated,
    r5_invlpg_of_one_fragment: SuperpageSplit,
    r5_delivered_fault_keeps_the_leaf: FaultKeepsLeaf,
    r5_cr3_load_without_resync: OwnTablesKept,
    r5_cr3_load_ignores_others: OthersIgnored,
    r6_stale_instances_trusted: StaleTrusted,
    promotion_keeps_write_access: WriteAccessKept,
    promotion_without_another_walk: PromotionTrusted,
    fixup_lost: FixupLost,
    tables_writable_by_reads: TableReadWritable,
    server_writes_unnoticed: ServerWriteMissed,
    log_cleared_without_write_protection: LoggedWritable,
}
