//! Counters that processes keep in a page that the supervisor reads.
//!
//! A page is an array of 64-bit words; the owner is the only writer. The
//! index of each counter is its number below, its name is what people and
//! `--json` see.

/// Most counters that a process counts in its page.
pub const CAPACITY: usize = 64;
/// In a shadow-server's page: the word where those of the shadow MMU begin, in
/// the order of `shadow_core::Counters::NAMES`.
pub const SHADOW_MMU: usize = CAPACITY;

/// A counter of some process.
pub trait Counter: Copy {
    /// Its word in the page, below [`CAPACITY`].
    fn index(self) -> usize;
}

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All counters, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in records.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl Counter for $name {
            fn index(self) -> usize {
                self as usize
            }
        }

        const _: () = assert!($name::ALL.len() <= CAPACITY);
    };
}

counters! {
    /// Counters of a shadow-server.
    Server {
        /// Times it was woken by any message.
        Wakes = "wakes",
        /// Faults of vCPUs, all kinds.
        Faults = "faults",
        /// VM faults.
        VmFaults = "vm_faults",
        /// Exceptions and software interrupts.
        Exceptions = "exceptions",
        /// Of those, the ones whose instruction the image's table named.
        Known = "known",
        /// Instructions executed ahead of their traps.
        LookAhead = "lookahead",
        /// Exits handed to the vmm.
        Exits = "exits",
        /// Page faults delivered to the guest.
        InjectedPageFaults = "injected_page_faults",
        /// Requests of the vmm. Faults, requests and signals make up all wakes.
        Requests = "requests",
        /// Signals of drivers, passed on to the vmm.
        Signals = "signals",
        /// Interrupts that vCPUs took.
        Interrupts = "interrupts",
        /// Running vCPUs that were stopped for an interrupt.
        Interruptions = "interruptions",
        /// Requests that made no sense and were refused.
        Refused = "refused",
        /// seL4 invocations that failed.
        FailedInvocations = "failed_invocations",
        /// Times a vCPU faulted again and again at one instruction and address.
        NoProgress = "no_progress",
        /// Parts of requests that were too long to be done at once.
        Parts = "parts",
        /// Times that all records of the shadow MMU were checked once more.
        AuditPasses = "audit_passes",
        /// seL4 invocations on frames and paging objects.
        Invocations = "invocations",
    }
}

counters! {
    /// Counters of a vmm.
    Vmm {
        /// Times it was woken by an exit or a notification.
        Wakes = "wakes",
        /// Exits served.
        Exits = "exits",
        /// Times the guest let it sleep.
        Sleeps = "sleeps",
        /// Times it was woken during those.
        SleepWakes = "sleep_wakes",
        /// Deadlines set at the timer for the guest's devices.
        Deadlines = "deadlines",
        /// Ports read or written that no device claims.
        UnknownPorts = "unknown_ports",
        /// Messages to the console.
        ConsoleWrites = "console_writes",
        /// Answers that made no sense.
        Refused = "refused",
    }
}

counters! {
    /// Counters of a driver.
    Driver {
        /// Messages that made no sense, or that their sender may not send.
        Refused = "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, counter) in Server::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, index);
            assert!(Server::ALL[..index].iter().all(|other| other.as_str() != counter.as_str()));
        }
    }
}
