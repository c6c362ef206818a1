//! The tests: what `cargo umbriel test` runs, and what continuous integration
//! runs too.
//!
//! A [`Case`] belongs to a group and has a name; its work is a closure that
//! answers with a [`Verdict`]. Cargo's cases run one after the other, as each
//! uses all processors; boots and fuzzers run two at a time.

pub mod bare;
pub mod bench;
pub mod bisect;
pub mod boot;
pub mod cargo;
pub mod expected;
pub mod failure;
pub mod fuzz;
pub mod judge;
pub mod kernel;
pub mod runner;
pub mod typing;

use std::time::Duration;

/// How many parallel cases run at once.
pub const AT_ONCE: usize = 2;

/// A test, or a command that runs many.
pub struct Case<'a> {
    /// What kind of test it is.
    pub group: &'static str,
    /// Its name, unique in its group.
    pub name: String,
    /// Whether it only runs with `--long`.
    pub long: bool,
    /// Whether it may run beside another of its kind.
    pub parallel: bool,
    /// The work.
    pub work: Box<dyn Fn() -> Verdict + Send + Sync + 'a>,
}

impl Case<'_> {
    /// Whether `filter` names its group, or a part of `group/name`.
    pub fn matches(&self, filter: Option<&str>) -> bool {
        filter.is_none_or(|filter| self.full_name().contains(filter))
    }

    /// `group/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Tests that passed: several if the case runs a suite of its own.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// What to tell about it: the reasons of a failure, else nothing much.
    pub text: String,
}

impl Verdict {
    /// One test that passed.
    pub fn pass() -> Verdict {
        Verdict { passed: 1, failed: 0, text: String::new() }
    }

    /// One test that failed, and why.
    pub fn fail(text: impl Into<String>) -> Verdict {
        Verdict { passed: 0, failed: 1, text: text.into() }
    }
}

/// A case that has run.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its group.
    pub group: &'static str,
    /// Its `group/name`.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}
