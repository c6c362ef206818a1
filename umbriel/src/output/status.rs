//! The exit status of `run`, by the rule of the manual:
//! the first non-zero guest status in manifest order; 124 if time ran out;
//! 125 if the tool or the machine failed. 126 and 127, for a guest that crashed
//! and for one whose server crashed, come from the supervisor as that guest's
//! status.

/// Time ran out.
pub const TIMED_OUT: u8 = 124;
/// The tool's own error, or a machine that ended without saying why.
pub const OWN_ERROR: u8 = 125;
/// The user pressed Ctrl-C: 128 and the number of SIGINT, as shells say it.
pub const INTERRUPTED: u8 = 130;

/// How the machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineEnd {
    /// The supervisor switched it off.
    Off,
    /// It ended without an announcement.
    Died,
    /// The tool ended it: time ran out.
    TimedOut,
    /// The tool ended it: Ctrl-C.
    Interrupted,
}

/// A guest's end, as reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestEnd {
    /// Its status.
    pub status: i64,
    /// `exit`, or why it did not come to that.
    pub cause: String,
}

impl GuestEnd {
    /// The status as a process can have it: 255 stands for what is out of range.
    pub fn byte(&self) -> u8 {
        u8::try_from(self.status).unwrap_or(255)
    }
}

/// The exit status of a run. `guests` are the ends in manifest order, `None`
/// for a guest that never reported one.
pub fn exit_status(end: MachineEnd, guests: &[Option<&GuestEnd>]) -> u8 {
    match end {
        MachineEnd::TimedOut => return TIMED_OUT,
        MachineEnd::Interrupted => return INTERRUPTED,
        MachineEnd::Died => return OWN_ERROR,
        MachineEnd::Off => {}
    }
    let statuses = guests.iter().map(|guest| guest.map_or(OWN_ERROR, GuestEnd::byte));
    statuses.into_iter().find(|status| *status != 0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: i64) -> GuestEnd {
        GuestEnd { status, cause: "exit".into() }
    }

    fn status(end: MachineEnd, guests: &[Option<i64>]) -> u8 {
        let guests: Vec<_> = guests.iter().map(|guest| guest.map(ended)).collect();
        exit_status(end, &guests.iter().map(Option::as_ref).collect::<Vec<_>>())
    }

    #[test]
    fn the_first_failure_in_manifest_order_counts() {
        assert_eq!(status(MachineEnd::Off, &[Some(0), Some(0)]), 0);
        assert_eq!(status(MachineEnd::Off, &[Some(0), Some(3), Some(127)]), 3);
        assert_eq!(status(MachineEnd::Off, &[Some(126), Some(3)]), 126);
    }

    #[test]
    fn a_guest_that_never_reported_is_an_error() {
        assert_eq!(status(MachineEnd::Off, &[Some(0), None]), OWN_ERROR);
        assert_eq!(status(MachineEnd::Off, &[Some(7), None]), 7);
    }

    #[test]
    fn the_machines_own_end_comes_first() {
        assert_eq!(status(MachineEnd::TimedOut, &[Some(3)]), TIMED_OUT);
        assert_eq!(status(MachineEnd::Died, &[Some(0)]), OWN_ERROR);
        assert_eq!(status(MachineEnd::Interrupted, &[None]), INTERRUPTED);
    }

    #[test]
    fn a_failure_never_looks_like_success() {
        for odd in [256, 512, -1, i64::MAX] {
            assert_eq!(status(MachineEnd::Off, &[Some(odd)]), 255);
        }
    }
}
