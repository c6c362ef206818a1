//! Reads and writes of guest memory for the vmm.

use protocol::REFUSED;
use protocol::request::{INLINE_BYTES, OUTSIDE_RAM, READ, WRITE};
use sel4::MessageInfo;
use x86::{Gpa, GuestMemory};

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
    bare(if memory.read_shared(gpa, area).is_ok() {
        READ
    } else {
        OUTSIDE_RAM
    })
}

/// Copies bytes in; `length` is at most the bounce area's.
pub fn write(
    paging: &mut Paging,
    bounce: &Bounce,
    (gpa, length): (u64, u64),
    inline: [u64; 2],
) -> Answer {
    let (gpa, length) = (Gpa::new(gpa), length as usize);
    let words = inline.map(u64::to_le_bytes);
    let written = match words.as_flattened().get(..length) {
        Some(bytes) => paging.write(gpa, bytes),
        None => match bounce.bytes().get(..length) {
            Some(area) => paging.write_shared(gpa, area),
            None => return refuse(),
        },
    };
    match written {
        Ok(Ok(())) => bare(WRITE),
        Ok(Err(_)) => bare(OUTSIDE_RAM),
        Err(_) => refuse(),
    }
}
