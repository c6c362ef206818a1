//! What traps leave behind to make the next ones cheaper.
//!
//! Small direct-mapped caches of one vCPU, for whoever runs it. Each says of
//! itself why what it keeps cannot be wrong, or what a wrong entry costs.

mod decoded;
mod fetched;
mod nothing_ahead;
mod translations;

pub use decoded::Decoded;
pub use fetched::Fetched;
pub use nothing_ahead::NothingAhead;
pub use translations::Translations;

/// No instruction lies there: the address is not canonical.
const NOWHERE: u64 = 1 << 63;

/// The place of an instruction among `places`, a power of two. Instructions that
/// follow each other in time are a few bytes or far apart.
const fn place_of(rip: u64, places: usize) -> usize {
    let address = rip as usize;
    (address ^ address >> 6 ^ address >> 12) % places
}
