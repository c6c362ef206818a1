//! Where news wait for the vmm, and the vmm for news.
//!
//! ```text
//!             stopped                  news
//!  Running ──────────────> Queued ─────────────> Handed
//!     ^                      │ wake                │ complete, wake
//!     └──────────────────────┴─────────────────────┘
//! ```
//!
//! The desk decides; its owner, a shadow-server, answers. What always holds: a
//! vCPU has at most one exit; a request stays parked only while there are no
//! news; exits are handed over in the order in which they came; only what was
//! handed over is completed, once. A vmm may ask for anything in any order; what
//! makes no sense is refused.

use system::address_map::MAX_VCPUS;

/// What the completion of an exit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// It finishes an instruction.
    Instruction,
    /// It lets the instruction run again.
    Access,
    /// The vCPU has halted: it, or an interrupt, lets it go on.
    Interrupt,
    /// Nothing completes it, but the shadow MMU that has more to do first.
    Shadow,
    /// Nothing can complete it: the vCPU has shut down.
    Nothing,
}

/// What the vmm has to know. `S` says why a vCPU stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum News<S> {
    /// A vCPU has stopped.
    Exit(usize, S),
    /// A driver has signalled.
    Signal,
}

/// What a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Running,
    Queued(Waiting),
    Handed(Waiting),
    /// It waits for the server alone.
    Held,
}

/// The desk between one server and its vmm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Desk<S> {
    stages: [Stage; MAX_VCPUS],
    /// Exits not handed over yet, oldest first.
    queue: [Option<(usize, S)>; MAX_VCPUS],
    signalled: bool,
    parked: bool,
}

impl<S: Copy> Desk<S> {
    /// All vCPUs run, and nothing is parked.
    pub const fn new() -> Self {
        Self {
            stages: [Stage::Running; MAX_VCPUS],
            queue: [None; MAX_VCPUS],
            signalled: false,
            parked: false,
        }
    }

    /// A vCPU has stopped. One that waits already does not run, so it cannot
    /// stop: its second exit is dropped.
    pub fn stopped(&mut self, vcpu: usize, stop: S, waiting: Waiting) {
        if let Some(stage) = self.stages.get_mut(vcpu)
            && *stage == Stage::Running
            // One place for each vCPU, so one is free.
            && let Some(place) = self.queue.iter_mut().find(|place| place.is_none())
        {
            *stage = Stage::Queued(waiting);
            *place = Some((vcpu, stop));
        }
    }

    /// A vCPU without an exit waits for the server's own work.
    pub fn hold(&mut self, vcpu: usize) {
        if let Some(stage @ Stage::Running) = self.stages.get_mut(vcpu) {
            *stage = Stage::Held;
        }
    }

    /// The server's own work for a vCPU is done.
    pub fn release(&mut self, vcpu: usize) {
        if let Some(stage @ Stage::Held) = self.stages.get_mut(vcpu) {
            *stage = Stage::Running;
        }
    }

    /// A driver has signalled.
    pub const fn signal(&mut self) {
        self.signalled = true;
    }

    /// Hands over the oldest exit, or a signal. If there are no news, the
    /// request is to be parked ([`Self::park`]).
    pub fn news(&mut self) -> Option<News<S>> {
        let Some((vcpu, stop)) = self.queue[0].take() else {
            return core::mem::take(&mut self.signalled).then_some(News::Signal);
        };
        self.queue.rotate_left(1);
        if let Some(stage) = self.stages.get_mut(vcpu)
            && let Stage::Queued(waiting) = *stage
        {
            *stage = Stage::Handed(waiting);
        }
        Some(News::Exit(vcpu, stop))
    }

    /// The request for news waits from now on.
    pub const fn park(&mut self) {
        self.parked = true;
    }

    /// News with which the parked request is to be answered now, if one is
    /// parked and there are any.
    pub fn news_for_parked(&mut self) -> Option<News<S>> {
        if !self.parked {
            return None;
        }
        let news = self.news()?;
        self.parked = false;
        Some(news)
    }

    /// Takes the exit of `vcpu` as completed, and says what that does. `None`
    /// if there is nothing to complete: it runs, its exit was not handed over
    /// yet, or it has shut down.
    pub fn complete(&mut self, vcpu: usize) -> Option<Waiting> {
        let stage = self.stages.get_mut(vcpu)?;
        match *stage {
            Stage::Handed(waiting) if waiting != Waiting::Nothing => {
                *stage = Stage::Running;
                Some(waiting)
            }
            _ => None,
        }
    }

    /// A vCPU that has halted goes on without the vmm, which need not know
    /// that it had halted; `false` if it has not.
    pub fn wake(&mut self, vcpu: usize) -> bool {
        if self.waiting(vcpu) != Some(Waiting::Interrupt) {
            return false;
        }
        self.stages[vcpu] = Stage::Running;
        let of_it = |place: &Option<(usize, S)>| place.is_some_and(|(of, _)| of == vcpu);
        if let Some(place) = self.queue.iter().position(of_it) {
            self.queue[place] = None;
            self.queue[place..].rotate_left(1);
        }
        true
    }

    /// Whether a request for news is parked.
    pub const fn is_parked(&self) -> bool {
        self.parked
    }

    /// What `vcpu` waits for, if it does.
    pub fn waiting(&self, vcpu: usize) -> Option<Waiting> {
        match *self.stages.get(vcpu)? {
            Stage::Running => None,
            Stage::Held => Some(Waiting::Shadow),
            Stage::Queued(waiting) | Stage::Handed(waiting) => Some(waiting),
        }
    }

    /// Exits that were not handed over, oldest first.
    pub fn queued(&self) -> impl Iterator<Item = (usize, S)> {
        self.queue.iter().copied().flatten()
    }

    /// Whether there are news.
    pub const fn has_news(&self) -> bool {
        self.signalled || self.queue[0].is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_request_gets_what_comes_first() {
        let mut desk = Desk::new();
        assert_eq!(desk.news(), None);
        desk.stopped(3, 'a', Waiting::Access);
        assert_eq!(desk.news_for_parked(), None, "nothing is parked");
        assert_eq!(desk.news(), Some(News::Exit(3, 'a')));
        desk.park();
        assert_eq!(desk.news_for_parked(), None, "there are no news");
        desk.signal();
        desk.stopped(1, 'b', Waiting::Access);
        assert_eq!(desk.news_for_parked(), Some(News::Exit(1, 'b')));
        assert!(!desk.is_parked());
        desk.stopped(2, 'c', Waiting::Access);
        assert_eq!(desk.news(), Some(News::Exit(2, 'c')));
        assert_eq!(desk.news(), Some(News::Signal));
        assert_eq!(desk.news(), None);
    }

    #[test]
    fn only_what_was_handed_over_is_completed_and_once() {
        let mut desk = Desk::new();
        assert_eq!(desk.complete(0), None, "it runs");
        desk.stopped(0, (), Waiting::Instruction);
        assert_eq!(desk.complete(0), None, "the vmm has not seen it");
        assert_eq!(desk.news(), Some(News::Exit(0, ())));
        assert_eq!(desk.complete(0), Some(Waiting::Instruction));
        assert_eq!(desk.complete(0), None, "it runs again");
        assert_eq!(desk.complete(MAX_VCPUS), None, "there is no such vCPU");
    }

    #[test]
    fn what_has_shut_down_stays_down() {
        let mut desk = Desk::new();
        desk.stopped(0, (), Waiting::Nothing);
        assert_eq!(desk.news(), Some(News::Exit(0, ())));
        assert_eq!(desk.complete(0), None);
        desk.stopped(0, (), Waiting::Access);
        assert_eq!(desk.news(), None, "a vCPU has one exit");
    }

    #[test]
    fn what_the_server_holds_the_vmm_cannot_let_go() {
        let mut desk = Desk::<()>::new();
        desk.hold(0);
        assert_eq!(desk.waiting(0), Some(Waiting::Shadow));
        assert_eq!((desk.complete(0), desk.wake(0)), (None, false));
        desk.release(0);
        assert_eq!(desk.waiting(0), None);
    }

    #[test]
    fn a_halted_vcpu_that_wakes_leaves_no_exit_behind() {
        let mut desk = Desk::new();
        desk.stopped(0, 'a', Waiting::Access);
        desk.stopped(1, 'b', Waiting::Interrupt);
        desk.stopped(2, 'c', Waiting::Access);
        assert!(!desk.wake(0), "it has not halted");
        assert!(desk.wake(1));
        assert!(desk.queued().eq([(0, 'a'), (2, 'c')]));
        desk.stopped(1, 'd', Waiting::Interrupt);
        assert!(desk.queued().eq([(0, 'a'), (2, 'c'), (1, 'd')]));
    }
}
