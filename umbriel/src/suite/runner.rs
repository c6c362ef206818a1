//! Runs cases, shows each as it ends, and sums up.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::suite::{AT_ONCE, Case, Done};

/// Runs `cases` until done or `interrupted`, in order of groups.
pub fn run(cases: &[Case<'_>], interrupted: &AtomicBool) -> Vec<Done> {
    let mut done = Vec::new();
    for run in cases.chunk_by(|a, b| a.group == b.group && a.parallel == b.parallel) {
        let workers = if run[0].parallel { AT_ONCE } else { 1 };
        done.extend(run_group(run, workers, interrupted));
    }
    done
}

fn run_group(cases: &[Case<'_>], workers: usize, interrupted: &AtomicBool) -> Vec<Done> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if interrupted.load(Ordering::Relaxed) {
                        return;
                    }
                    let result = run_case(case);
                    show(&result);
                    done.lock().expect("no case panics while it holds the list").push(result);
                }
            });
        }
    });
    done.into_inner().expect("no case panics while it holds the list")
}

fn run_case(case: &Case<'_>) -> Done {
    let start = Instant::now();
    let verdict = (case.work)();
    Done { group: case.group, name: case.full_name(), verdict, time: start.elapsed() }
}

fn show(done: &Done) {
    let word = if done.verdict.failed == 0 { "ok" } else { "FAILED" };
    let count = match done.verdict.passed + done.verdict.failed {
        1 => String::new(),
        count => format!("{count} tests, "),
    };
    println!("{:<44} {word} ({count}{:.1} s)", done.name, done.time.as_secs_f32());
    if done.verdict.failed > 0 {
        for line in done.verdict.text.lines() {
            println!("    {line}");
        }
    }
}

/// Prints time per group and the sums; returns whether all passed.
pub fn summarise(done: &[Done]) -> bool {
    let (passed, failed) = totals(done);
    let mut groups: BTreeMap<&str, Duration> = BTreeMap::new();
    for case in done {
        *groups.entry(case.group).or_default() += case.time;
    }
    println!();
    for (group, time) in groups {
        println!("{group:<8} {:7.1} s of work", time.as_secs_f32());
    }
    for case in done.iter().filter(|case| case.verdict.failed > 0) {
        println!("failed: {}    again: cargo umbriel test {}", case.name, case.name);
    }
    println!("{passed} passed, {failed} failed");
    failed == 0
}

fn totals(done: &[Done]) -> (usize, usize) {
    let passed = done.iter().map(|case| case.verdict.passed).sum();
    let failed = done.iter().map(|case| case.verdict.failed).sum();
    (passed, failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Verdict;

    fn case(group: &'static str, name: &str, parallel: bool, verdict: Verdict) -> Case<'static> {
        Case {
            group,
            name: name.into(),
            long: false,
            parallel,
            work: Box::new(move || verdict.clone()),
        }
    }

    #[test]
    fn every_case_runs_once() {
        let mut cases: Vec<Case<'_>> =
            (0..7).map(|n| case("boot", &n.to_string(), true, Verdict::pass())).collect();
        cases.push(case("unit", "x", false, Verdict { passed: 40, failed: 2, text: "why".into() }));
        let done = run(&cases, &AtomicBool::new(false));
        let mut names: Vec<_> = done.iter().map(|case| case.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["boot/0", "boot/1", "boot/2", "boot/3", "boot/4", "boot/5", "boot/6", "unit/x"]
        );
        assert_eq!(totals(&done), (47, 2));
        assert!(!summarise(&done));
    }

    #[test]
    fn an_interrupt_stops_before_the_next_case() {
        let cases = [case("boot", "a", true, Verdict::pass())];
        assert!(run(&cases, &AtomicBool::new(true)).is_empty());
    }

    #[test]
    fn filters_name_groups_or_tests() {
        let case = case("boot", "solo5-hello", true, Verdict::pass());
        for filter in [None, Some("boot"), Some("solo5"), Some("boot/solo5-hello")] {
            assert!(case.matches(filter));
        }
        assert!(!case.matches(Some("unit")));
    }
}
