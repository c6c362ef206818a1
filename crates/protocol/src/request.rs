//! Requests of the vmm to its guest's shadow-server.

use system::address_map::{BOUNCE_BYTES, MAX_VCPUS};

use crate::exit::Completion;
use crate::offers::Offers;

/// Bytes of guest memory that travel in message registers; longer reads and
/// writes go through the bounce area.
pub const INLINE_BYTES: usize = 16;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Wait for the next exit of any vCPU. Answered with
    /// [`crate::exit::EXIT`] when there is one.
    NextExit {
        /// What changed at the interrupt controllers.
        offers: Offers,
    },
    /// Complete the exit of a vCPU and wait for the next one of any vCPU.
    Complete {
        /// The vCPU.
        vcpu: usize,
        /// How.
        completion: Completion,
        /// What changed at the interrupt controllers; it holds before the
        /// vCPU runs on.
        offers: Offers,
    },
    /// Read guest memory. Answered with label [`READ`]: up to
    /// [`INLINE_BYTES`] in words 0 and 1, more in the bounce area;
    /// [`OUTSIDE_RAM`] if any byte is not RAM.
    Read {
        /// First guest-physical address.
        gpa: u64,
        /// Bytes, at most [`BOUNCE_BYTES`].
        length: u64,
    },
    /// Start (every frame counts as written) or stop the log of written frames.
    /// Answered with label [`LOG_DIRTY`].
    LogDirty {
        /// Whether to start.
        on: bool,
    },
    /// Read and clear the log. Answered with label [`READ_DIRTY`] and the frame
    /// to go on with, which may be `first` again, and lies beyond RAM when all is
    /// read. The bounce area then begins with a bit for each frame from `first` on,
    /// [`DIRTY_FRAMES`] in all; those from the frame to go on with are zero.
    ReadDirty {
        /// First guest frame number.
        first: u64,
    },
    /// Write guest memory. Answered with label [`WRITE`] or
    /// [`OUTSIDE_RAM`].
    Write {
        /// First guest-physical address.
        gpa: u64,
        /// Bytes, at most [`BOUNCE_BYTES`].
        length: u64,
        /// The bytes if they are at most [`INLINE_BYTES`]; else they lie in
        /// the bounce area and these words are zero.
        inline: [u64; 2],
    },
}

/// Frames that one [`Request::ReadDirty`] looks at, at most.
pub const DIRTY_FRAMES: usize = 4096;

const NEXT_EXIT: u64 = 0x100;
const COMPLETE: u64 = 0x101;
/// Label of [`Request::Read`] and of its successful answer.
pub const READ: u64 = 0x102;
/// Label of [`Request::Write`] and of its successful answer.
pub const WRITE: u64 = 0x103;
/// Label of the answer to a read or write that leaves RAM; nothing moved.
pub const OUTSIDE_RAM: u64 = 0x104;
/// Label of [`Request::LogDirty`] and of its answer.
pub const LOG_DIRTY: u64 = 0x105;
/// Label of [`Request::ReadDirty`] and of its answer.
pub const READ_DIRTY: u64 = 0x106;

impl Request {
    /// How many words a request with this label has.
    const fn words(label: u64) -> usize {
        match label {
            LOG_DIRTY | READ_DIRTY => 1,
            NEXT_EXIT | READ => 2,
            COMPLETE | WRITE => 4,
            _ => 0,
        }
    }

    /// Label and message words.
    pub const fn encode(self) -> (u64, [u64; 4]) {
        match self {
            Self::NextExit { offers } => {
                let [head, vectors] = offers.encode();
                (NEXT_EXIT, [head, vectors, 0, 0])
            }
            Self::Complete { vcpu, completion, offers } => {
                let (kind, value) = completion.encode();
                let [head, vectors] = offers.encode();
                (COMPLETE, [vcpu as u64 | kind << 8, value, head, vectors])
            }
            Self::Read { gpa, length } => (READ, [gpa, length, 0, 0]),
            Self::LogDirty { on } => (LOG_DIRTY, [on as u64, 0, 0, 0]),
            Self::ReadDirty { first } => (READ_DIRTY, [first, 0, 0, 0]),
            Self::Write { gpa, length, inline } => (WRITE, [gpa, length, inline[0], inline[1]]),
        }
    }

    /// The request in these words, of which the sender gave `length`, or `None`
    /// if it is malformed.
    pub const fn decode(label: u64, length: usize, words: [u64; 4]) -> Option<Self> {
        if length < Self::words(label) {
            return None;
        }
        let [first, second, third, fourth] = words;
        match label {
            NEXT_EXIT => match Offers::decode([first, second]) {
                Some(offers) => Some(Self::NextExit { offers }),
                None => None,
            },
            COMPLETE => {
                let vcpu = first & 0xff;
                match (Completion::decode(first >> 8, second), Offers::decode([third, fourth])) {
                    (Some(completion), Some(offers)) if vcpu < MAX_VCPUS as u64 => {
                        Some(Self::Complete { vcpu: vcpu as usize, completion, offers })
                    }
                    _ => None,
                }
            }
            READ if second <= BOUNCE_BYTES => Some(Self::Read { gpa: first, length: second }),
            LOG_DIRTY if first <= 1 => Some(Self::LogDirty { on: first == 1 }),
            READ_DIRTY => Some(Self::ReadDirty { first }),
            WRITE if second <= BOUNCE_BYTES => {
                Some(Self::Write { gpa: first, length: second, inline: [third, fourth] })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_round_trip() {
        for request in [
            Request::NextExit { offers: Offers::NONE },
            Request::NextExit { offers: Offers::one(0, Some(0)) },
            Request::Complete {
                vcpu: 7,
                completion: Completion::Value(3),
                offers: Offers::one(7, Some(0xff)),
            },
            Request::Complete {
                vcpu: 0,
                completion: Completion::Done,
                offers: Offers::one(1, None),
            },
            Request::Read { gpa: 0x1000, length: 24 },
            Request::LogDirty { on: true },
            Request::LogDirty { on: false },
            Request::ReadDirty { first: 77 },
            Request::Write { gpa: 0x1000, length: 9, inline: [1, 2] },
        ] {
            let (label, words) = request.encode();
            assert_eq!(Request::decode(label, words.len(), words), Some(request));
        }
    }

    #[test]
    fn oversized_and_unknown_requests_are_refused() {
        assert_eq!(Request::decode(READ, 4, [0, BOUNCE_BYTES + 1, 0, 0]), None);
        assert_eq!(Request::decode(WRITE, 4, [0, u64::MAX, 0, 0]), None);
        assert_eq!(Request::decode(COMPLETE, 4, [8, 0, 0, 0]), None);
        assert_eq!(Request::decode(COMPLETE, 4, [9 << 8, 0, 0, 0]), None);
        assert_eq!(Request::decode(COMPLETE, 4, [0, 0, 0x0200, 0]), None);
        assert_eq!(Request::decode(NEXT_EXIT, 4, [0x1_0001, 0, 0, 0]), None);
        assert_eq!(Request::decode(NEXT_EXIT, 1, [0; 4]), None);
        assert_eq!(Request::decode(LOG_DIRTY, 1, [2, 0, 0, 0]), None);
        assert_eq!(Request::decode(READ_DIRTY, 0, [0; 4]), None);
        assert_eq!(Request::decode(5, 4, [0; 4]), None);
        assert_eq!(Request::decode(WRITE, 3, [0, 1, 2, 3]), None);
    }
}
