//! The real shadow MMU as a stateright model.
//!
//! A state is the sequence of steps that led to it, and a fingerprint of all
//! that later behaviour depends on; states with the same fingerprint are the
//! same. Its machine is made by replay, so that no records are kept; the steps
//! that may follow are then tried on copies.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use shadow_core::{Defect, Policy};
use stateright::{Model, Property};

use crate::guest::{AUDIT, Broken, EXACT, Guest, LEGAL, Memory, PROGRESS, REFUSED};
use crate::setups::Setup;
use crate::steps::{self, Step};

/// A property that no code under test may break.
const NO_PANIC: &str = "nothing panics";
/// What some state must show, or the model says little.
pub const NOT_VACUOUS: &str = "all counters move that should";

/// The model of one [`Setup`].
#[derive(Clone)]
pub struct ShadowModel {
    setup: &'static Setup,
    policy: Policy,
    steps: Vec<Step>,
}

/// A state.
#[derive(Clone)]
pub struct State {
    setup: &'static Setup,
    policy: Policy,
    path: Vec<u16>,
    fingerprint: u64,
    /// Which of the setup's counters have moved, a bit each.
    moved: u32,
    broken: Option<Broken>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for State {}

impl ShadowModel {
    /// The model of `setup`, with a planted mistake or none.
    pub fn new(setup: &'static Setup, defect: Option<Defect>) -> Self {
        silence_expected_panics();
        Self { setup, policy: Policy { defect, ..setup.policy }, steps: steps::all(setup) }
    }

    /// The state of a machine after the step at the end of `path`.
    fn state(&self, path: Vec<u16>, guest: &Guest<'_>, outcome: Result<(), Broken>) -> State {
        let mut hasher = fingerprint_hasher();
        guest.fingerprint(&mut hasher);
        // A broken state is like no other.
        let broken = outcome.err();
        broken.hash(&mut hasher);
        let moved = guest.moved().filter_map(|name| {
            let place = self.setup.causes.iter().position(|cause| *cause == name);
            place.map(|place| 1_u32 << place)
        });
        State {
            setup: self.setup,
            policy: self.policy,
            path,
            fingerprint: hasher.finish(),
            moved: moved.sum(),
            broken,
        }
    }

    /// What each step makes of `state`, where that is another state.
    fn successors(&self, state: &State) -> Vec<(u16, State)> {
        state.with_guest(&self.steps, |guest| {
            let steps = (0..).zip(&self.steps);
            let next =
                steps.map(|(number, &step)| (number, self.successor(state, guest, number, step)));
            next.filter(|(_, next)| next.fingerprint != state.fingerprint).collect()
        })
    }

    fn successor(&self, state: &State, guest: &Guest<'_>, number: u16, step: Step) -> State {
        let path = [&state.path[..], &[number]].concat();
        SCRATCH.with_borrow_mut(|memory| {
            let mut next = guest.copy_to(memory);
            let outcome = watched(|| next.apply(step, true));
            let panicked = |why| {
                let property = NO_PANIC;
                Err(Broken { property, why })
            };
            let outcome = outcome.unwrap_or_else(panicked);
            self.state(path, &next, outcome)
        })
    }
}

thread_local! {
    /// Memory for the records of the machine whose steps are tried.
    static MEMORY: RefCell<Memory> = RefCell::default();
    /// Memory for the records of the machine after a step.
    static SCRATCH: RefCell<Memory> = RefCell::default();
    /// The state whose steps were tried last, and what became of it.
    static TRIED: RefCell<(u64, Vec<(u16, State)>)> = RefCell::default();
    /// Whether a panic is about to be caught as a broken property.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Fast, and the same in every run.
fn fingerprint_hasher() -> impl Hasher {
    ahash::RandomState::with_seeds(1, 2, 3, 4).build_hasher()
}

impl State {
    /// Runs the steps that led to this state, and gives `look` the machine.
    fn with_guest<T>(&self, steps: &[Step], look: impl FnOnce(&Guest<'_>) -> T) -> T {
        MEMORY.with_borrow_mut(|memory| {
            let mut guest = Guest::new(self.setup, self.policy, memory);
            for &step in &self.path {
                // What is broken shows in the state.
                let _ = watched(|| guest.apply(steps[usize::from(step)], false));
            }
            look(&guest)
        })
    }
}

/// `work`, or what it panicked with.
fn watched<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    WATCHED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    WATCHED.set(false);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic".to_owned())
    })
}

/// Panics that become broken properties need no message of their own.
fn silence_expected_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !WATCHED.get() {
                usual(panic);
            }
        }));
    });
}

impl Model for ShadowModel {
    type State = State;
    type Action = u16;

    fn init_states(&self) -> Vec<State> {
        vec![MEMORY.with_borrow_mut(|memory| {
            let guest = Guest::new(self.setup, self.policy, memory);
            self.state(Vec::new(), &guest, Ok(()))
        })]
    }

    fn actions(&self, state: &State, actions: &mut Vec<u16>) {
        if state.broken.is_some() {
            return;
        }
        let next = self.successors(state);
        actions.extend(next.iter().map(|(step, _)| *step));
        TRIED.set((state.fingerprint, next));
    }

    fn next_state(&self, last: &State, action: u16) -> Option<State> {
        let tried = TRIED.with_borrow(|(fingerprint, next)| {
            let found = next.binary_search_by_key(&action, |(step, _)| *step);
            let same = *fingerprint == last.fingerprint;
            found.ok().filter(|_| same).map(|found| next[found].1.clone())
        });
        tried.or_else(|| {
            let next = self.successors(last);
            next.into_iter().find_map(|(step, next)| (step == action).then_some(next))
        })
    }

    fn format_action(&self, action: &u16) -> String {
        format!("{:?}", self.steps[usize::from(*action)])
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(state: &State, property: &str) -> bool {
            let broken = state.broken.as_ref();
            broken.is_none_or(|broken| broken.property != property)
        }
        vec![
            Property::always(AUDIT, |_, state| holds(state, AUDIT)),
            Property::always(LEGAL, |_, state| holds(state, LEGAL)),
            Property::always(EXACT, |_, state| holds(state, EXACT)),
            Property::always(REFUSED, |_, state| holds(state, REFUSED)),
            Property::always(PROGRESS, |_, state| holds(state, PROGRESS)),
            Property::always(NO_PANIC, |_, state| holds(state, NO_PANIC)),
            Property::sometimes("all counters move that should", |model: &Self, state: &State| {
                state.moved == (1 << model.setup.causes.len()) - 1
            }),
        ]
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(broken) = &self.broken {
            writeln!(f, "{}: {}", broken.property, broken.why)?;
        }
        let shown = self.with_guest(&steps::all(self.setup), |guest| format!("{guest:?}"));
        f.write_str(&shown)
    }
}
