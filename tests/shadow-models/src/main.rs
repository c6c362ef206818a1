//! Opens a model in stateright's Explorer, or counts its states.
//!
//! `cargo umbriel explore` runs this.

use std::env;
use std::fmt::Debug;
use std::hash::Hash;
use std::process::ExitCode;

use shadow_models::exits::Exits;
use shadow_models::setups::{self, ALL_SETUPS};
use shadow_models::shadow::ShadowModel;
use stateright::{Checker, CheckerBuilder, Expectation, Model};

/// The name of the model of exits.
const EXITS: &str = "exits";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => list(),
        ["--long"] => return long(),
        ["--count", name] => return with_model(name, None),
        ["--serve", address, name] => return with_model(name, Some(address)),
        _ => {
            eprintln!("arguments: none, --long, --count MODEL, or --serve ADDRESS MODEL");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The models that are too large for every run of the tests.
fn long() -> ExitCode {
    for setup in ALL_SETUPS.iter().filter(|setup| setup.long) {
        println!("{}:", setup.name);
        if visit(ShadowModel::new(setup, None).checker(), None) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn list() {
    for setup in ALL_SETUPS {
        let long = if setup.long { " (long)" } else { "" };
        println!("{:16} {}{long}", setup.name, setup.about);
    }
    println!("{EXITS:16} exits between two vCPUs, server and an honest vmm");
}

fn with_model(name: &str, address: Option<&str>) -> ExitCode {
    if name == EXITS {
        let model = Exits { vcpus: 2, stops: 3, signals: 1, hostile: false, mistake: None };
        return visit(model.checker(), address);
    }
    let Some(setup) = setups::named(name) else {
        eprintln!("there is no model {name:?}; `cargo umbriel explore` lists them");
        return ExitCode::FAILURE;
    };
    visit(ShadowModel::new(setup, None).checker(), address)
}

/// Serves the Explorer, which ends with the process, or visits all states.
fn visit<M>(checker: CheckerBuilder<M>, address: Option<&str>) -> ExitCode
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Send + Sync + Debug,
    M::Action: Clone + PartialEq + Send + Sync + Debug,
{
    if let Some(address) = address {
        println!("Explorer at http://{address}/ (Ctrl-C ends it)");
        checker.serve(address);
        return ExitCode::SUCCESS;
    }
    let checker = checker.threads(2).spawn_bfs().join();
    println!(
        "{} states, {} transitions, {} steps deep",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    let mut holds = true;
    for property in checker.model().properties() {
        let path = checker.discovery(property.name);
        let expected = property.expectation == Expectation::Sometimes;
        if path.is_some() != expected {
            println!("broken: {}", property.name);
            holds = false;
        }
        if let Some(path) = path.filter(|_| !expected) {
            println!("{path:?}");
        }
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
