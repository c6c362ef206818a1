//! The clients' deadlines: at most one each.

/// Deadlines by client number, in ticks of the time-stamp counter.
pub struct Deadlines<const CLIENTS: usize> {
    at: [u64; CLIENTS],
}

/// No deadline.
pub const NEVER: u64 = u64::MAX;

impl<const CLIENTS: usize> Deadlines<CLIENTS> {
    /// No client has a deadline.
    pub const fn new() -> Self {
        Self { at: [NEVER; CLIENTS] }
    }

    /// Replaces the deadline of `client`; a number past the last is refused.
    pub fn set(&mut self, client: usize, tick: u64) -> bool {
        match self.at.get_mut(client) {
            Some(slot) => {
                *slot = tick;
                true
            }
            None => false,
        }
    }

    /// Takes a client whose deadline is not after `now`.
    pub fn take_due(&mut self, now: u64) -> Option<usize> {
        let due = self.at.iter().position(|tick| *tick != NEVER && *tick <= now)?;
        self.at[due] = NEVER;
        Some(due)
    }

    /// The earliest deadline, or [`NEVER`].
    pub fn earliest(&self) -> u64 {
        self.at.iter().copied().min().unwrap_or(NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_clients_are_taken_once() {
        let mut deadlines = Deadlines::<4>::new();
        deadlines.set(1, 50);
        deadlines.set(2, 10);
        assert_eq!(deadlines.earliest(), 10);
        assert_eq!(deadlines.take_due(9), None);
        assert_eq!(deadlines.take_due(60), Some(1));
        assert_eq!(deadlines.take_due(60), Some(2));
        assert_eq!(deadlines.take_due(60), None);
        assert_eq!(deadlines.earliest(), NEVER);
    }

    #[test]
    fn a_later_deadline_replaces_an_earlier() {
        let mut deadlines = Deadlines::<1>::new();
        deadlines.set(0, 5);
        deadlines.set(0, 9);
        assert_eq!(deadlines.take_due(5), None);
        assert!(!deadlines.set(1, 5));
    }
}
