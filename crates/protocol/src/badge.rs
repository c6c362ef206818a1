//! Badges: who sends, as the kernel vouches.
//!
//! Release 5.0.0 keeps 28 bits of an endpoint's badge, so all values stay
//! below 2^28.

/// Badge of vCPU number `index` on its shadow-server's endpoint.
pub const fn vcpu(index: usize) -> u64 {
    1 + index as u64
}

/// The vCPU that `badge` stands for.
pub const fn vcpu_index(badge: u64) -> Option<usize> {
    if badge >= 1 && badge <= system::address_map::MAX_VCPUS as u64 {
        Some(badge as usize - 1)
    } else {
        None
    }
}

/// The vmm on its guest's shadow-server.
pub const VMM: u64 = 0x100;
/// The supervisor on a shadow-server.
pub const SUPERVISOR: u64 = 0x200;

/// Bit that marks a notification; no endpoint badge has it.
pub const NOTIFICATION: u64 = 1 << 27;

/// Kinds of badge on the supervisor's endpoint, above the process number.
const FAULT: u64 = 0x1_0000;
const REPORT: u64 = 0x2_0000;

/// A sender on the supervisor's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The kernel reports a fault of process number `.0`.
    Fault(usize),
    /// Process number `.0` reports.
    Report(usize),
    /// A notification (the timer's tick).
    Notification,
}

impl Sender {
    /// The badge of this sender.
    pub const fn badge(self) -> u64 {
        match self {
            Self::Fault(process) => FAULT | process as u64,
            Self::Report(process) => REPORT | process as u64,
            Self::Notification => NOTIFICATION,
        }
    }

    /// The sender with `badge`.
    pub const fn from_badge(badge: u64) -> Option<Self> {
        if badge & NOTIFICATION != 0 {
            return Some(Self::Notification);
        }
        let process = (badge & 0xffff) as usize;
        match badge & !0xffff {
            FAULT => Some(Self::Fault(process)),
            REPORT => Some(Self::Report(process)),
            _ => None,
        }
    }
}

/// The supervisor on a driver's endpoint; clients have their process number
/// plus one.
pub const DRIVER_SUPERVISOR: u64 = 0xffff;

/// Client with process number `process` on a driver's endpoint.
pub const fn client(process: usize) -> u64 {
    process as u64 + 1
}

/// The interrupt of a driver's hardware.
pub const IRQ: u64 = NOTIFICATION | 1;
/// The console, at a shadow-server: there is input for its guest.
pub const INPUT: u64 = NOTIFICATION | 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_round_trip() {
        for sender in [Sender::Fault(3), Sender::Report(0), Sender::Notification] {
            assert_eq!(Sender::from_badge(sender.badge()), Some(sender));
        }
        assert_eq!(Sender::from_badge(7), None);
    }

    #[test]
    fn vcpu_badges_are_apart_from_all_others() {
        for index in 0..system::address_map::MAX_VCPUS {
            assert_eq!(vcpu_index(vcpu(index)), Some(index));
        }
        for other in [0, VMM, SUPERVISOR, NOTIFICATION] {
            assert_eq!(vcpu_index(other), None);
        }
    }
}
