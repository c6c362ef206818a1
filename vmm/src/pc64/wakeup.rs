//! How vCPUs but the first are started: the mailbox of ACPI 6.4, §5.2.12.19.
//!
//! ```text
//!           waits                command for it
//!  (built) ───────> waiting ──────────────────────> running
//! ```
//!
//! A vCPU that waits has executed HLT with interrupts off, in the firmware's
//! code (`guest-loader/src/pc64/secondary.rs`). The guest writes the mailbox
//! without a trap, so it is looked at: soon after something happened, then ever
//! less often. What is in it is a claim; a command that names no vCPU that waits
//! stays there.

use crate::host::Host;

/// Bytes of the mailbox that count: command (16 bits), APIC ID (32 bits at
/// offset 4), address.
const FIELDS: usize = 16;
/// The command that starts a processor.
const WAKEUP: u16 = 1;
/// The mailbox is looked at after this part of a second, then after twice as
/// long, and so on.
const FIRST_LOOK: u64 = 8_000;
/// … and this part of a second at last.
const LAST_LOOK: u64 = 64;

/// Which vCPUs run, wait to be started, or can never run again.
#[derive(Clone, Debug)]
pub struct Wakeup {
    mailbox: u64,
    states: [State; system::address_map::MAX_VCPUS],
    /// How many wait.
    waiting: u8,
    tsc_hz: u64,
    /// When the mailbox is looked at next, and the time from then to the next.
    look: u64,
    pause: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no such vCPU.
    Absent,
    /// It has not been started yet, and may not have got to where it waits.
    Built,
    /// It waits to be started.
    Waiting,
    Running,
    /// It has halted with interrupts off, and nothing can wake it.
    Stopped,
}

impl Wakeup {
    /// The first of `vcpus` runs at `now`; the others are started through the
    /// mailbox at guest-physical `mailbox`. The time-stamp counter has
    /// `tsc_hz` ticks a second.
    pub fn new(vcpus: usize, mailbox: u64, tsc_hz: u64, now: u64) -> Self {
        let mut states = [State::Absent; _];
        for (number, state) in states.iter_mut().take(vcpus.max(1)).enumerate() {
            *state = match number {
                0 => State::Running,
                _ => State::Built,
            };
        }
        let mut new = Self { mailbox, states, waiting: 0, tsc_hz, look: 0, pause: 0 };
        new.look_soon(now);
        new
    }

    fn look_soon(&mut self, now: u64) {
        self.pause = (self.tsc_hz / FIRST_LOOK).max(1);
        self.look = now.saturating_add(self.pause);
    }

    /// vCPU number `vcpu` halted with interrupts off. Whether any vCPU still
    /// can do anything.
    #[inline(never)]
    pub fn halted(&mut self, vcpu: usize) -> bool {
        if let Some(state) = self.states.get_mut(vcpu) {
            *state = match *state {
                State::Built => {
                    self.waiting += 1;
                    State::Waiting
                }
                State::Waiting => State::Waiting,
                _ => State::Stopped,
            };
        }
        self.states.contains(&State::Running)
    }

    /// Looks at the mailbox if it is time to. A vCPU that is given goes on
    /// behind its HLT.
    #[inline(never)] // seldom
    pub fn poll(&mut self, now: u64, host: &mut impl Host) -> Option<usize> {
        if self.deadline()? > now {
            return None;
        }
        self.pause = (self.pause * 2).min((self.tsc_hz / LAST_LOOK).max(1));
        self.look = now.saturating_add(self.pause);
        let mut fields = [0; FIELDS];
        host.read_guest(self.mailbox, &mut fields).ok()?;
        let [low, high, _, _, id @ .., _, _, _, _, _, _, _, _] = fields;
        if u16::from_le_bytes([low, high]) != WAKEUP {
            return None;
        }
        let vcpu = usize::try_from(u32::from_le_bytes(id)).ok()?;
        let state = self.states.get_mut(vcpu)?;
        if *state != State::Waiting {
            return None;
        }
        *state = State::Running;
        self.waiting -= 1;
        self.look_soon(now);
        Some(vcpu)
    }

    /// When to look at the mailbox, if a vCPU waits.
    pub fn deadline(&self) -> Option<u64> {
        (self.waiting != 0).then_some(self.look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    const MAILBOX: u64 = 0x8000;
    const HZ: u64 = 1_000_000_000;

    fn command(host: &mut Fake, command: u16, id: u32) {
        host.put_u64(MAILBOX as usize, u64::from(command) | u64::from(id) << 32);
        host.put_u64(MAILBOX as usize + 8, 0x1234_5678);
    }

    /// Four vCPUs, all but the first where they wait.
    fn waiting() -> Wakeup {
        let mut wakeup = Wakeup::new(4, MAILBOX, HZ, 0);
        for vcpu in 1..4 {
            assert!(wakeup.halted(vcpu));
        }
        wakeup
    }

    #[test]
    fn the_vcpu_that_is_named_starts_and_no_other() {
        let (mut wakeup, mut host) = (waiting(), Fake::default());
        assert_eq!(wakeup.poll(HZ, &mut host), None, "no command");
        command(&mut host, 1, 2);
        let now = wakeup.deadline().unwrap();
        assert_eq!(wakeup.poll(now - 1, &mut host), None, "not yet");
        assert_eq!(wakeup.poll(now, &mut host), Some(2));
        let now = wakeup.deadline().unwrap();
        assert_eq!(wakeup.poll(now, &mut host), None, "it runs already");
    }

    #[test]
    fn commands_that_name_nobody_are_left_alone() {
        let (mut wakeup, mut host) = (waiting(), Fake::default());
        for (number, id) in
            [(1, 0), (1, 4), (1, 8), (1, u32::MAX), (0, 1), (2, 1), (0x101, 1), (u16::MAX, 1)]
        {
            command(&mut host, number, id);
            assert_eq!(wakeup.poll(HZ * 100, &mut host), None, "{number} {id}");
        }
    }

    #[test]
    fn a_vcpu_that_is_not_there_yet_is_started_when_it_is() {
        let (mut wakeup, mut host) = (Wakeup::new(2, MAILBOX, HZ, 0), Fake::default());
        command(&mut host, 1, 1);
        assert_eq!((wakeup.deadline(), wakeup.poll(HZ, &mut host)), (None, None));
        wakeup.halted(1);
        assert_eq!(wakeup.poll(2 * HZ, &mut host), Some(1));
        assert_eq!(wakeup.deadline(), None, "nobody waits");
    }

    #[test]
    fn it_looks_less_and_less_often_until_something_happens() {
        let (mut wakeup, mut host) = (waiting(), Fake::default());
        let mut now = wakeup.deadline().unwrap();
        let pauses = [(); 12].map(|()| {
            wakeup.poll(now, &mut host);
            let pause = wakeup.deadline().unwrap() - now;
            now += pause;
            pause
        });
        assert_eq!(pauses[0], HZ / 4_000);
        assert_eq!(pauses[11], HZ / 64);
        command(&mut host, 1, 1);
        assert_eq!(wakeup.poll(now, &mut host), Some(1));
        assert_eq!(wakeup.deadline(), Some(now + HZ / 8_000));
    }

    #[test]
    fn a_mailbox_outside_ram_starts_nobody() {
        let mut wakeup = Wakeup::new(2, u64::MAX - 4, HZ, 0);
        wakeup.halted(1);
        assert_eq!(wakeup.poll(HZ, &mut Fake::default()), None);
    }

    #[test]
    fn the_guest_has_ended_when_no_vcpu_runs() {
        let (mut wakeup, mut host) = (waiting(), Fake::default());
        command(&mut host, 1, 3);
        wakeup.poll(HZ, &mut host);
        assert!(wakeup.halted(0), "the fourth runs");
        assert!(!wakeup.halted(3), "two wait, and nobody can start them");
        assert!(!wakeup.halted(7), "there is no such vCPU");
    }
}
