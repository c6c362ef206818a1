//! The kernel and the model of it that host tests use do the same: random
//! capability operations on both, compared after each by error number and by
//! what the hardware reaches.
#![cfg(not(target_os = "none"))]

mod boot;
mod model;
mod random;

use std::collections::BTreeMap;

use kernel_model::{Kind, Operation};

use model::Modelled;
use random::Random;

/// Operations in one sequence.
const OPERATIONS: usize = 4_000;
/// Operations shown before one that differs.
const SHOWN: usize = 12;

fn check(seed: u64, count: usize) {
    let mut modelled = Modelled::new();
    let mut random = Random::new(seed);
    let operations: Vec<(Operation, String)> = (0..count)
        .map(|_| {
            let operation = modelled.choose(&mut random);
            let answer = modelled.carry_out(operation);
            (operation, answer)
        })
        .collect();
    assert_variety(&operations);
    let sequence: Vec<u8> =
        operations.iter().flat_map(|(operation, _)| operation.to_bytes()).collect();
    let answers = boot::run(&format!("seed-{seed}"), &sequence);
    for (number, (operation, wanted)) in operations.iter().enumerate() {
        let seen = answers.get(number).map_or("nothing", String::as_str);
        if seen != wanted {
            let before = &operations[number.saturating_sub(SHOWN)..number];
            let history: String = before
                .iter()
                .map(|(operation, answer)| format!("  {operation:?} -> {answer}\n"))
                .collect();
            panic!(
                "seed {seed}, operation {number}: the model says {wanted:?}, the kernel {seen:?}\n\
                 {history}  {operation:?}"
            );
        }
    }
    assert_eq!(answers.len(), operations.len());
}

/// Random operations that all fail, or never fail, would prove little.
fn assert_variety(operations: &[(Operation, String)]) {
    let mut seen: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    for (operation, answer) in operations {
        let error = answer.split(' ').next().unwrap_or("");
        *seen.entry((operation.kind as u8, error)).or_default() += 1;
    }
    eprintln!("(kind, error): times {seen:?}");
    let mut wanted: Vec<(Kind, &str)> = Kind::ALL.map(|kind| (kind, "0")).to_vec();
    for error in ["2", "6", "8"] {
        wanted.extend([(Kind::Map, error), (Kind::MapTable, error)]);
    }
    wanted.push((Kind::Copy, "8"));
    for (kind, error) in wanted {
        let times = seen.get(&(kind as u8, error)).copied().unwrap_or(0);
        assert!(times >= 5, "{kind:?} gives error {error} {times} times only");
    }
}

#[test]
fn kernel_and_model_agree() {
    check(1, OPERATIONS);
}

#[test]
#[ignore = "ten long sequences; run with --ignored, or by the tool's long tests"]
fn kernel_and_model_agree_at_length() {
    (2..12).for_each(|seed| check(seed, 10 * OPERATIONS));
}
