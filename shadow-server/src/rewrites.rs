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
use vcpu::{Instruction, Operation, Original, Trap};
use x86::Vector;

/// Places for decoded instructions; a power of two. Kernels trap at few places often.
const PLACES: usize = 64;

/// The table, by ascending address.
pub struct Rewrites {
    table: &'static [Rewrite],
    /// Entries that were needed lately, decoded, with their addresses. The
    /// table never changes, so they are never wrong.
    decoded: [(u64, Instruction); PLACES],
}

const fn place(rip: u64) -> usize {
    let address = rip as usize;
    (address ^ address >> 6 ^ address >> 12) % PLACES
}

impl Rewrites {
    /// Takes the table that the root task lent; `None` if it is not one.
    pub fn new(table: &'static [Rewrite]) -> Option<Self> {
        let nothing = Instruction {
            length: 1,
            operation: Operation::Ud2,
        };
        Rewrite::is_table(table).then_some(Self {
            table,
            // No instruction lies there: it would not be canonical.
            decoded: [(1 << 63, nothing); PLACES],
        })
    }

    /// What stood at `rip` before rewriting, if it is in the table.
    pub fn find(&self, rip: u64) -> Option<Original> {
        let index = self
            .table
            .binary_search_by_key(&rip, |entry| entry.rip)
            .ok()?;
        let entry = self.table.get(index)?;
        Some(Original {
            bytes: entry.bytes,
            length: entry.length,
        })
    }

    /// The trap of the instruction at `rip`, if it is in the table.
    #[inline]
    fn known(&mut self, rip: u64) -> Option<Trap> {
        let (at, instruction) = self.decoded[place(rip)];
        if at == rip {
            return Some(Trap::Known(instruction));
        }
        self.decode(rip)
    }

    #[cold]
    fn decode(&mut self, rip: u64) -> Option<Trap> {
        let original = self.find(rip)?;
        match vcpu::decode(original.as_slice()) {
            Ok(instruction) if instruction.length == original.length => {
                self.decoded[place(rip)] = (rip, instruction);
                Some(Trap::Known(instruction))
            }
            _ => Some(Trap::Rewritten(original)),
        }
    }

    /// The trap that an exception of the guest's thread stands for.
    #[inline]
    pub fn of_exception(&mut self, fault: &UserException) -> Trap {
        let trap = Trap::Exception {
            vector: fault.number,
            error_code: fault.code,
        };
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
        let Some(known) = self.known(rip) else {
            return trap;
        };
        process::count(Counter::Known);
        known
    }
}

const GENERAL_PROTECTION: u64 = Vector::GeneralProtection as u64;
const INVALID_OPCODE: u64 = Vector::InvalidOpcode as u64;
