//! Reads and writes of guest memory for the vmm.

use core::sync::atomic::Ordering;
use protocol::REFUSED;

use protocol::request::{
    DIRTY_FRAMES, INLINE_BYTES, LOG_DIRTY, OUTSIDE_RAM, READ, READ_DIRTY, WRITE,
};
use sel4::{MessageInfo, cap};
use x86::{Gfn, Gpa, GuestMemory};
use zerocopy::IntoBytes;

use crate::pages::Bounce;
use crate::paging::Paging;
use crate::window::Window;
use protocol::counters::Server;

/// An answer: label and length, and the words in registers.
pub type Answer = (MessageInfo, [u64; 4]);

const fn bare(label: u64) -> Answer {
    (MessageInfo::new(label, 0, 0, 0), [0; 4])
}

/// Refuses a request that makes no sense.
pub fn refuse() -> Answer {
    process::count(Server::Refused);
    bare(REFUSED)
}

/// Copies guest memory out; `length` is at most the bounce area's.
pub fn read(memory: &Window, bounce: &Bounce, gpa: u64, length: u64) -> Answer {
    let (gpa, length) = (Gpa::new(gpa), length as usize);
    if length <= INLINE_BYTES {
        let mut words = [[0; 8]; INLINE_BYTES / 8];
        return match memory.read(gpa, &mut words.as_flattened_mut()[..length]) {
            Ok(()) => {
                let [first, second] = words.map(u64::from_le_bytes);
                (MessageInfo::new(READ, 0, 0, 2), [first, second, 0, 0])
            }
            Err(_) => bare(OUTSIDE_RAM),
        };
    }
    let Some(area) = bounce.bytes().get(..length) else {
        return refuse();
    };
    bare(if memory.read_shared(gpa, area).is_ok() { READ } else { OUTSIDE_RAM })
}

/// Answers a request that was parked behind `reply`.
pub fn answer(reply: cap::Endpoint, label: u64) {
    reply.send_with_mrs(MessageInfo::new(label, 0, 0, 0), [0; 4]);
}

/// Starts or stops the log of written frames.
pub fn log_dirty(paging: &mut Paging, on: bool) -> Answer {
    match on {
        true => paging.mmu.start_log_dirty(),
        false => paging.mmu.stop_log_dirty(),
    }
    bare(LOG_DIRTY)
}

/// Reads and clears the log from frame `first` on, into the bounce area.
pub fn read_dirty(paging: &mut Paging, bounce: &Bounce, first: u64) -> Answer {
    let mut bits = [0_u64; DIRTY_FRAMES / 64];
    match paging.mmu.read_dirty(Gfn::new(first), &mut bits, &mut paging.caps) {
        Ok(next) => {
            for (to, from) in bounce.bytes().iter().zip(bits.as_bytes()) {
                to.store(*from, Ordering::Relaxed);
            }
            (MessageInfo::new(READ_DIRTY, 0, 0, 1), [next.get(), 0, 0, 0])
        }
        // The same frame again.
        Err(error) if error.is_again() => (MessageInfo::new(READ_DIRTY, 0, 0, 1), [first, 0, 0, 0]),
        Err(_) => refuse(),
    }
}

/// Copies bytes in; `length` is at most the bounce area's. `None`: they are
/// written, but the shadow has not followed yet ([`Paging::written`]).
pub fn write(
    paging: &mut Paging,
    bounce: &Bounce,
    (gpa, length): (u64, u64),
    inline: [u64; 2],
) -> Option<Answer> {
    let (gpa, length) = (Gpa::new(gpa), length as usize);
    let words = inline.map(u64::to_le_bytes);
    let written = match words.as_flattened().get(..length) {
        Some(bytes) => paging.write(gpa, bytes),
        None => match bounce.bytes().get(..length) {
            Some(area) => paging.write_shared(gpa, area),
            None => return Some(refuse()),
        },
    };
    Some(match written {
        Ok(Ok(())) => bare(WRITE),
        Ok(Err(_)) => bare(OUTSIDE_RAM),
        Err(error) if error.is_again() => return None,
        Err(_) => refuse(),
    })
}
