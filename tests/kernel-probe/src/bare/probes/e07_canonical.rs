//! E7: nothing is mapped at or above 0x7ffffffff000, and a return to a
//! non-canonical address is a fault of the thread.

use sel4::{CapRights, Error, ObjectBlueprint, UserContext, VmAttributes, cap, init_thread};

use crate::bare::code;
use crate::bare::lab::Lab;
use crate::bare::subject::{Subject, at};
use crate::bare::verdict::Seen;
use crate::require;

/// Addresses that the kernel must refuse, from harmless to dangerous: the last
/// would wrap around into the kernel's own range.
const REFUSED: [usize; 5] = [
    0x0000_7fff_ffff_f000,
    0x0000_8000_0000_0000,
    0xffff_7fff_ffff_f000,
    0xffff_8000_0000_0000,
    0xffff_ffff_ffff_f000,
];

/// Exception number of a general protection fault.
const GENERAL_PROTECTION: u64 = 13;

/// Just above the canonical lower half.
const NON_CANONICAL: u64 = 0x0000_8000_0000_0000;

pub fn probe(lab: &mut Lab) -> Seen {
    mappings(lab)?;
    let subject = Subject::guest(lab);
    let mut outcome = subject.run(&UserContext { rax: NON_CANONICAL, ..at(code::jump()) });
    // Resuming it where it stands faults again, as it would on hardware.
    for _ in 0..3 {
        let Some(exception) = outcome.exception().filter(|e| e.number == GENERAL_PROTECTION) else {
            require!(false, "a jump to {NON_CANONICAL:#x}: {}", outcome.describe());
            return Ok(());
        };
        let message = lab.faults.reply_recv_with_mrs(sel4::fault::resume(), []);
        outcome = subject.outcome(&message);
        let again = outcome.exception().map(|e| (e.number, e.ip, e.code));
        require!(
            again == Some((GENERAL_PROTECTION, exception.ip, 0)),
            "resuming at {:#x}: {}",
            exception.ip,
            outcome.describe()
        );
    }
    Ok(())
}

fn mappings(lab: &mut Lab) -> Seen {
    let frame: cap::Granule = lab.make(ObjectBlueprint::_4k);
    let table: cap::PageTable = lab.make(ObjectBlueprint::PageTable);
    let directory: cap::PageDirectory = lab.make(ObjectBlueprint::PageDirectory);
    let pointers: cap::PDPT = lab.make(ObjectBlueprint::PDPT);
    let (vspace, attributes) = (init_thread::slot::VSPACE, VmAttributes::DEFAULT);
    for address in REFUSED {
        let mapped = frame.frame_map(vspace, address, CapRights::read_write(), attributes);
        refused("a page", address, mapped)?;
        // A table that reaches below the end belongs to the user; the page in it does not.
        if address > REFUSED[0] {
            refused("a table", address, table.page_table_map(vspace, address, attributes))?;
            let mapped = directory.page_directory_map(vspace, address, attributes);
            refused("a directory", address, mapped)?;
            refused("a PDPT", address, pointers.pdpt_map(vspace, address, attributes))?;
        }
    }
    Ok(())
}

fn refused(what: &str, address: usize, mapped: sel4::Result<()>) -> Seen {
    require!(
        mapped == Err(Error::InvalidArgument),
        "mapping {what} at {address:#x} gave {mapped:?} instead of InvalidArgument"
    );
    Ok(())
}
