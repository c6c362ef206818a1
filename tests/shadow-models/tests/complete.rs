//! Every model over all its states, and the mistakes that they find.

use shadow_core::Defect;
use shadow_models::exits::{Exits, Mistake};
use shadow_models::setups::{self, ALL_SETUPS};
use shadow_models::shadow::ShadowModel;
use stateright::{Checker, HasDiscoveries, Model};

/// States of each model: a change here is a change of the shadow MMU's
/// behaviour, or of the model, and is recorded in `docs/shadow-mmu.md`.
const STATES: &[(&str, usize)] = &[
    ("page", 1772),
    ("instances", 16438),
    ("vcpus", 1800),
    ("upper", 680),
    ("superpage", 1566),
    ("self-map", 56),
    ("aliases", 36741),
    ("roots", 1192),
    ("views", 2614),
    ("eviction", 2273),
    ("refusals", 370),
    ("siblings", 1862),
    ("evicted-walk", 1600),
    ("detached", 379),
    ("parts", 833),
    ("servers", 926),
];

#[test]
fn every_state_of_every_model_is_good() {
    let setups = || ALL_SETUPS.iter().filter(|setup| !setup.long);
    let names: Vec<&str> = setups().map(|setup| setup.name).collect();
    let counted: Vec<&str> = STATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, counted);
    for (setup, (name, states)) in setups().zip(STATES) {
        let checker = ShadowModel::new(setup, None).checker().threads(2);
        let checker = checker.spawn_bfs().join();
        let transitions = checker.state_count();
        println!(
            "{name:14} {:7} states, {transitions:8} transitions",
            checker.unique_state_count()
        );
        checker.assert_properties();
        let found = checker.unique_state_count();
        assert_eq!(found, *states, "states of {name}");
    }
}

const EXITS: Exits = Exits { vcpus: 2, stops: 2, signals: 1, hostile: false, mistake: None };

#[test]
fn exits_are_neither_lost_nor_confused() {
    let models = [
        (1, 4, false, 96),
        (2, 3, false, 1451),
        (3, 2, false, 9440),
        (1, 4, true, 774),
        (2, 2, true, 6882),
        (3, 1, true, 10116),
    ];
    for (vcpus, stops, hostile, states) in models {
        let model = Exits { vcpus, stops, hostile, ..EXITS };
        let checker = model.checker().spawn_dfs().join();
        println!("{model:?} {:7} states", checker.unique_state_count());
        checker.assert_properties();
        assert!(states == 0 || checker.unique_state_count() == states, "{model:?}");
    }
}

#[test]
fn confused_exits_are_noticed() {
    let mistakes = [
        (Mistake::ParksAlways, false),
        (Mistake::AnswersNobody, true),
        (Mistake::CompletesAnother, false),
        (Mistake::SignalKept, false),
    ];
    for (mistake, hostile) in mistakes {
        let model = Exits { hostile, mistake: Some(mistake), ..EXITS };
        let checker = model.checker().spawn_dfs().join();
        let found = checker.discoveries();
        assert!(!found.is_empty(), "nobody noticed {mistake:?}");
    }
}

/// A planted mistake, and the model that must find it.
const FOUND: &[(Defect, &str)] = &[
    (Defect::OriginIgnored, "upper"),
    (Defect::DetachedReused, "detached"),
    (Defect::DivergenceForgotten, "page"),
    (Defect::OneInstanceSynced, "instances"),
    (Defect::PathUnchecked, "upper"),
    (Defect::OneViewInvalidated, "views"),
    (Defect::SuperpageSplit, "superpage"),
    (Defect::FaultKeepsLeaf, "page"),
    (Defect::OwnTablesKept, "roots"),
    (Defect::OthersIgnored, "vcpus"),
    (Defect::StaleTrusted, "roots"),
    (Defect::WalkKept, "evicted-walk"),
    (Defect::WriteAccessKept, "upper"),
    (Defect::PromotionTrusted, "siblings"),
    (Defect::FixupLost, "aliases"),
    (Defect::TableReadWritable, "self-map"),
    (Defect::ServerWriteMissed, "servers"),
];

#[test]
fn every_planted_mistake_has_a_counterexample() {
    for (defect, name) in FOUND {
        let setup = setups::named(name).expect("a model of that name");
        let checker = ShadowModel::new(setup, Some(*defect)).checker().threads(2);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
        let failed: Vec<(&str, usize)> = checker
            .discoveries()
            .into_iter()
            .map(|(property, path)| (property, path.into_actions().len()))
            .filter(|(property, _)| *property != shadow_models::shadow::NOT_VACUOUS)
            .collect();
        println!("{defect:?} in {name}: {failed:?}, {} states", checker.unique_state_count());
        assert!(!failed.is_empty(), "{name} does not notice {defect:?}");
    }
}
