//! News between vCPUs, drivers, server and vmm: nothing is lost, and nobody
//! waits for the wrong one.
//!
//! The server's part is the real [`Desk`]. A vCPU runs and stops, or halts, a
//! few times; a driver signals; the vmm asks for news, completes exits and wakes
//! halted vCPUs, or, if it is hostile, sends whatever it likes whenever it is
//! not blocked.

use protocol::desk::{Desk, News, Waiting};
use stateright::{Model, Property};

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Exits {
    /// vCPUs, at most eight.
    pub vcpus: usize,
    /// How often each stops.
    pub stops: u8,
    /// How often the driver signals.
    pub signals: u8,
    /// Whether the vmm does not keep to the protocol.
    pub hostile: bool,
    /// A mistake of the server, to show that the model notices.
    pub mistake: Option<Mistake>,
}

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A request is parked though there are news.
    ParksAlways,
    /// A parked request is answered, though its sender cannot be.
    AnswersNobody,
    /// A completion is taken for the exit of the first vCPU.
    CompletesAnother,
    /// A signal does not wake a vmm that is parked.
    SignalKept,
}

/// What the vmm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Vmm {
    /// It works; an exit may be in its hands, of a vCPU that may have halted.
    Working(Option<(usize, bool)>),
    /// It is blocked in a call.
    Blocked,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    desk: Desk<bool>,
    /// The slot where the server keeps the right to answer a parked request:
    /// whether it is full.
    reply: bool,
    /// How often each vCPU has stopped, and whether its thread runs.
    threads: Vec<(u8, bool)>,
    /// Signals so far, and how many of them the vmm was told about: one
    /// message may tell of several.
    signals: (u8, u8),
    vmm: Vmm,
    /// Exits that the vmm got, of each vCPU.
    delivered: Vec<u8>,
    /// What the server did that it must not.
    wrong: Option<&'static str>,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A vCPU stops with an exit that is to be completed, or halts.
    Stop {
        /// The vCPU.
        vcpu: usize,
        /// Whether it halts.
        halts: bool,
    },
    /// A driver signals.
    Signal,
    /// The vmm asks for news, by a call or by a send that cannot be answered.
    Next {
        /// An interrupt that comes with the request, for a vCPU.
        offer: Option<usize>,
        /// Whether by a call.
        call: bool,
    },
    /// The vmm completes an exit, which also asks for news.
    Complete {
        /// Of which vCPU.
        vcpu: usize,
        /// Whether by a call.
        call: bool,
    },
}

impl Exits {
    /// The server tells the vmm what there is, or parks its request.
    fn next(self, state: &mut State, call: bool) {
        let news = match self.mistake {
            Some(Mistake::ParksAlways) => None,
            _ => state.desk.news(),
        };
        match news {
            Some(news) if call => Self::tell(state, news),
            // Nobody waits for the answer.
            Some(_) => {}
            None => Self::park(state, call),
        }
    }

    /// Saves the right to answer, if there is one, and notes the request.
    fn park(state: &mut State, call: bool) {
        if state.reply {
            // The slot is full, so the kernel refuses to save another.
            if call {
                state.vmm = Vmm::Working(None);
            }
            return;
        }
        state.reply = call;
        state.desk.park();
    }

    fn answer_parked(self, state: &mut State) {
        let Some(news) = state.desk.news_for_parked() else {
            return;
        };
        let answers = core::mem::take(&mut state.reply);
        if answers || self.mistake == Some(Mistake::AnswersNobody) {
            Self::tell(state, news);
        }
    }

    fn tell(state: &mut State, news: News<bool>) {
        if state.vmm != Vmm::Blocked {
            state.wrong = Some("an answer to a vmm that does not wait");
        }
        match news {
            News::Signal => {
                state.vmm = Vmm::Working(None);
                state.signals.1 = state.signals.0;
            }
            News::Exit(vcpu, halted) => {
                state.vmm = Vmm::Working(Some((vcpu, halted)));
                state.delivered[vcpu] += 1;
                if state.delivered[vcpu] > state.threads[vcpu].0 {
                    state.wrong = Some("an exit delivered twice");
                }
            }
        }
    }

    fn run_on(state: &mut State, vcpu: usize) {
        if core::mem::replace(&mut state.threads[vcpu].1, true) {
            state.wrong = Some("a vCPU that runs was resumed");
        }
    }

    fn complete(self, state: &mut State, vcpu: usize, call: bool) {
        let completed = match self.mistake {
            Some(Mistake::CompletesAnother) => 0,
            _ => vcpu,
        };
        match state.desk.complete(completed) {
            Some(_) => {
                Self::run_on(state, vcpu);
                self.next(state, call);
            }
            // The refusal is answered at once.
            None if call => state.vmm = Vmm::Working(None),
            None => {}
        }
    }

    /// A request with an interrupt for a vCPU, which goes on if it has halted.
    fn next_with(self, state: &mut State, vcpu: usize, call: bool) {
        if vcpu >= self.vcpus || state.desk.waiting(vcpu) != Some(Waiting::Interrupt) {
            return self.next(state, call);
        }
        Self::park(state, call);
        if state.desk.is_parked() {
            if state.desk.wake(vcpu) {
                Self::run_on(state, vcpu);
            }
            self.answer_parked(state);
        }
    }

    fn queued(state: &State, vcpu: usize) -> usize {
        state.desk.queued().filter(|(of, _)| *of == vcpu).count()
    }
}

impl Model for Exits {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            desk: Desk::new(),
            reply: false,
            threads: vec![(0, true); self.vcpus],
            signals: (0, 0),
            vmm: Vmm::Working(None),
            delivered: vec![0; self.vcpus],
            wrong: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (vcpu, (stops, runs)) in (0..).zip(&state.threads) {
            if *runs && *stops < self.stops {
                actions.extend([false, true].map(|halts| Action::Stop { vcpu, halts }));
            }
        }
        if state.signals.0 < self.signals {
            actions.push(Action::Signal);
        }
        let Vmm::Working(held) = state.vmm else {
            return;
        };
        if self.hostile {
            for call in [false, true] {
                actions.push(Action::Next { offer: None, call });
                for vcpu in 0..=self.vcpus {
                    let offer = Some(vcpu);
                    actions.push(Action::Next { offer, call });
                    actions.push(Action::Complete { vcpu, call });
                }
            }
            return;
        }
        let call = true;
        actions.push(match held {
            Some((vcpu, false)) => Action::Complete { vcpu, call },
            Some((vcpu, true)) => Action::Next { offer: Some(vcpu), call },
            None => Action::Next { offer: None, call },
        });
        // An interrupt may come for any vCPU.
        actions.extend((0..self.vcpus).filter(|_| held.is_none()).map(|vcpu| {
            let offer = Some(vcpu);
            Action::Next { offer, call }
        }));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if let Action::Next { call: true, .. } | Action::Complete { call: true, .. } = action {
            state.vmm = Vmm::Blocked;
        }
        match action {
            Action::Stop { vcpu, halts } => {
                let (stops, runs) = &mut state.threads[vcpu];
                *stops += 1;
                *runs = false;
                let waiting = match halts {
                    true => Waiting::Interrupt,
                    false => Waiting::Instruction,
                };
                state.desk.stopped(vcpu, halts, waiting);
                self.answer_parked(&mut state);
            }
            Action::Signal => {
                state.signals.0 += 1;
                state.desk.signal();
                if self.mistake != Some(Mistake::SignalKept) {
                    self.answer_parked(&mut state);
                }
            }
            Action::Next { offer: None, call } => self.next(&mut state, call),
            Action::Next { offer: Some(vcpu), call } => self.next_with(&mut state, vcpu, call),
            Action::Complete { vcpu, call } => self.complete(&mut state, vcpu, call),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("every answer has its question", |_, state: &State| {
                state.wrong.is_none()
            }),
            Property::always("a request is parked only without news", |_, state: &State| {
                !state.desk.is_parked() || !state.desk.has_news()
            }),
            Property::always("a vCPU stops if and only if it waits", |_, state: &State| {
                let mut threads = (0..).zip(&state.threads);
                threads.all(|(vcpu, (_, runs))| state.desk.waiting(vcpu).is_none() == *runs)
            }),
            Property::always("a vmm that is blocked is parked", |_, state: &State| {
                state.vmm != Vmm::Blocked || state.desk.is_parked() && state.reply
            }),
            Property::always("a vCPU has one exit", |model: &Self, state: &State| {
                (0..model.vcpus).all(|vcpu| Self::queued(state, vcpu) <= 1)
            }),
        ];
        if !self.hostile {
            properties.extend([
                Property::always("a signal is told or waits", |_, state: &State| {
                    state.signals.0 == state.signals.1 || state.desk.has_news()
                }),
                Property::eventually("all exits come to an end", |model: &Self, state: &State| {
                    let done = |(stops, runs): &(u8, bool)| *runs && *stops == model.stops;
                    state.threads.iter().all(done) && state.signals.1 == model.signals
                }),
            ]);
        }
        properties
    }
}
