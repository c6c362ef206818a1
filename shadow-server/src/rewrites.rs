//! Instructions of the guest's image that are known by address.
//!
//! Some were replaced when the image was composed, others trap by themselves
//! (`guest-loader/src/rewrite`). Either way the address says what to execute, so
//! that nothing is fetched from guest memory, and each is decoded once. The
//! table is lent read only. An address that is not in it was never rewritten,
//! whatever the guest has put there since.

use protocol::counters::Server as Counter;
use sel4::fault::{UnknownSyscall, UserException};
use system::compiled::Rewrite;
use vcpu::{Decoded, Original, Trap};
use x86::Vector;

/// The table, by ascending address.
pub struct Rewrites {
    table: &'static [Rewrite],
    decoded: Decoded,
}

impl Rewrites {
    /// Takes the table that the root task lent; `None` if it is not one.
    pub fn new(table: &'static [Rewrite]) -> Option<Self> {
        Rewrite::is_table(table).then_some(Self { table, decoded: Decoded::new() })
    }

    /// What stood at `rip` before rewriting, if it is in the table.
    pub fn find(&self, rip: u64) -> Option<Original> {
        find(self.table, rip)
    }

    /// The trap that an exception of the guest's thread stands for.
    #[inline]
    pub fn of_exception(&mut self, fault: &UserException) -> Trap {
        let trap = Trap::Exception { vector: fault.number, error_code: fault.code };
        match fault.number {
            GENERAL_PROTECTION | INVALID_OPCODE => self.or(fault.ip, trap),
            _ => trap,
        }
    }

    /// The trap that an unknown system call of the guest's thread stands for.
    #[inline]
    pub fn of_system_call(&mut self, fault: &UnknownSyscall) -> Trap {
        match Trap::of_unknown_system_call(fault.syscall, fault.rax, fault.rdx) {
            Trap::SystemCall => Trap::SystemCall,
            trap => self.or(fault.rip, trap),
        }
    }

    #[inline]
    fn or(&mut self, rip: u64, trap: Trap) -> Trap {
        let Some(known) = self.decoded.trap(rip, || find(self.table, rip)) else {
            return trap;
        };
        process::count(Counter::Known);
        known
    }
}

fn find(table: &[Rewrite], rip: u64) -> Option<Original> {
    let index = table.binary_search_by_key(&rip, |entry| entry.rip).ok()?;
    let &Rewrite { bytes, length, .. } = table.get(index)?;
    Some(Original { bytes, length })
}

const GENERAL_PROTECTION: u64 = Vector::GeneralProtection as u64;
const INVALID_OPCODE: u64 = Vector::InvalidOpcode as u64;
