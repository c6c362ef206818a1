//! Requests of the vmm to its guest's shadow-server.

use system::address_map::BOUNCE_BYTES;

use crate::exit::Completion;

/// Bytes of guest memory that travel in message registers; longer reads and
/// writes go through the bounce area.
pub const INLINE_BYTES: usize = 16;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Wait for the next exit of any vCPU. Answered with
    /// [`crate::exit::EXIT`] when there is one.
    NextExit {
        /// What changed at the interrupt controller.
        offer: Option<Offer>,
    },
    /// Complete the exit of a vCPU and wait for the next one of any vCPU.
    Complete {
        /// The vCPU.
        vcpu: usize,
        /// How.
        completion: Completion,
        /// What changed at the interrupt controller; it holds before the vCPU
        /// runs on.
        offer: Option<Offer>,
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

/// What the interrupt controller of a vCPU would answer to an acknowledgement
/// now. It stands until the vCPU takes it, which the next
/// [`EXIT`](crate::exit::EXIT) reports, or another one replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The vCPU.
    pub vcpu: usize,
    /// The vector; `None` withdraws what was offered.
    pub vector: Option<u8>,
}

impl Offer {
    /// Bit of an offer's word that tells it from none.
    const PRESENT: u64 = 1 << 16;
    /// Bit that withdraws.
    const WITHDRAWN: u64 = 1 << 17;

    /// The word for `offer`: vector in bits 7:0, vCPU in 15:8; zero for none.
    const fn encode(offer: Option<Self>) -> u64 {
        match offer {
            None => 0,
            Some(Self { vcpu, vector }) => {
                let word = Self::PRESENT | (vcpu as u64 & 0xff) << 8;
                match vector {
                    Some(vector) => word | vector as u64,
                    None => word | Self::WITHDRAWN,
                }
            }
        }
    }

    /// The offer in `word`; `None` if it is malformed.
    const fn decode(word: u64) -> Option<Option<Self>> {
        if word == 0 {
            return Some(None);
        }
        let vcpu = (word >> 8 & 0xff) as usize;
        if word & Self::PRESENT == 0 || vcpu >= system::address_map::MAX_VCPUS {
            return None;
        }
        let vector = if word & Self::WITHDRAWN == 0 {
            Some(word as u8)
        } else {
            None
        };
        Some(Some(Self { vcpu, vector }))
    }
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
            NEXT_EXIT | LOG_DIRTY | READ_DIRTY => 1,
            READ => 2,
            COMPLETE | WRITE => 4,
            _ => 0,
        }
    }

    /// Label and message words.
    pub const fn encode(self) -> (u64, [u64; 4]) {
        match self {
            Self::NextExit { offer } => (NEXT_EXIT, [Offer::encode(offer), 0, 0, 0]),
            Self::Complete {
                vcpu,
                completion,
                offer,
            } => {
                let (kind, value) = completion.encode();
                let offer = Offer::encode(offer);
                (COMPLETE, [vcpu as u64, kind, value, offer])
            }
            Self::Read { gpa, length } => (READ, [gpa, length, 0, 0]),
            Self::LogDirty { on } => (LOG_DIRTY, [on as u64, 0, 0, 0]),
            Self::ReadDirty { first } => (READ_DIRTY, [first, 0, 0, 0]),
            Self::Write {
                gpa,
                length,
                inline,
            } => (WRITE, [gpa, length, inline[0], inline[1]]),
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
            NEXT_EXIT => match Offer::decode(first) {
                Some(offer) => Some(Self::NextExit { offer }),
                None => None,
            },
            COMPLETE => match (Completion::decode(second, third), Offer::decode(fourth)) {
                (Some(completion), Some(offer))
                    if first < system::address_map::MAX_VCPUS as u64 =>
                {
                    Some(Self::Complete {
                        vcpu: first as usize,
                        completion,
                        offer,
                    })
                }
                _ => None,
            },
            READ if second <= BOUNCE_BYTES => Some(Self::Read {
                gpa: first,
                length: second,
            }),
            LOG_DIRTY if first <= 1 => Some(Self::LogDirty { on: first == 1 }),
            READ_DIRTY => Some(Self::ReadDirty { first }),
            WRITE if second <= BOUNCE_BYTES => Some(Self::Write {
                gpa: first,
                length: second,
                inline: [third, fourth],
            }),
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
            Request::NextExit { offer: None },
            Request::NextExit {
                offer: Some(Offer {
                    vcpu: 0,
                    vector: Some(0),
                }),
            },
            Request::Complete {
                vcpu: 7,
                completion: Completion::Value(3),
                offer: Some(Offer {
                    vcpu: 7,
                    vector: Some(0xff),
                }),
            },
            Request::Complete {
                vcpu: 0,
                completion: Completion::Done,
                offer: Some(Offer {
                    vcpu: 1,
                    vector: None,
                }),
            },
            Request::Read {
                gpa: 0x1000,
                length: 24,
            },
            Request::LogDirty { on: true },
            Request::LogDirty { on: false },
            Request::ReadDirty { first: 77 },
            Request::Write {
                gpa: 0x1000,
                length: 9,
                inline: [1, 2],
            },
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
        assert_eq!(Request::decode(COMPLETE, 4, [0, 9, 0, 0]), None);
        assert_eq!(Request::decode(NEXT_EXIT, 4, [0x1_0820, 0, 0, 0]), None);
        assert_eq!(Request::decode(NEXT_EXIT, 4, [0x20, 0, 0, 0]), None);
        assert_eq!(Request::decode(NEXT_EXIT, 0, [0; 4]), None);
        assert_eq!(Request::decode(LOG_DIRTY, 1, [2, 0, 0, 0]), None);
        assert_eq!(Request::decode(READ_DIRTY, 0, [0; 4]), None);
        assert_eq!(Request::decode(5, 4, [0; 4]), None);
        assert_eq!(Request::decode(WRITE, 3, [0, 1, 2, 3]), None);
    }
}
