//! Records of page faults, as a shadow-server left them, for tools.

use core::fmt;

use protocol::trace::FaultRecord;
use zerocopy::FromBytes;

/// The records in a page of the ring; empty places are passed over.
pub fn records(page: &[u8]) -> impl Iterator<Item = FaultRecord> {
    page.chunks_exact(FaultRecord::BYTES)
        .filter_map(|bytes| FaultRecord::read_from_bytes(bytes).ok())
        .filter(|record| record.number != 0)
}

/// A record as one JSON object.
pub struct Json<'a> {
    /// The guest's name.
    pub guest: &'a str,
    /// The record.
    pub record: &'a FaultRecord,
}

/// A name by its number, which the server wrote.
fn name<'n>(names: &[&'n str], number: u8) -> &'n str {
    names.get(usize::from(number)).copied().unwrap_or("unknown")
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guest, record } = self;
        let FaultRecord { number, tick, ticks, rip, gva, root, gfn, operations, vcpu, .. } = record;
        write!(
            f,
            "{{\"record\":\"trace\",\"guest\":\"{guest}\",\"number\":{number},\"tick\":{tick},\
             \"ticks\":{ticks},\"vcpu\":{vcpu},\"rip\":{rip},\"gva\":{gva},\"root\":{root},\
             \"gfn\":{},\"operations\":{operations},\"access\":\"{}\",\"view\":\"{}\",\
             \"outcome\":\"{}\"}}",
            *gfn as i64, // none is -1
            name(&FaultRecord::ACCESSES, record.access),
            name(&FaultRecord::VIEWS, record.view),
            name(&FaultRecord::OUTCOMES, record.outcome),
        )
    }
}
