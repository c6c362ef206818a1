//! The guest's vCPUs: state, thread, and what they wait for.

use core::cell::Cell;

use sel4::fault::{GENERAL_REGISTERS, REPLY_REGISTERS, UnknownSyscall, VmFault};
use shadow_core::{Access, PagingContext, VcpuId};
use system::cspace::ServerSlots;
use vcpu::{NothingAhead, RegisterSet, Registers, Translations, VcpuState};
use x86::{Gva, Rflags};
use zerocopy::FromZeros;

use crate::owed::Owed;
use crate::paging;
use crate::thread::{Due, Thread};

/// A vCPU.
pub struct Vcpu {
    /// Its number.
    pub id: VcpuId,
    /// Its state, in the page that the supervisor owns.
    pub state: &'static mut VcpuState,
    /// Its registers while it is stopped, as far as its thread has loaded them.
    pub registers: Registers,
    /// Its thread.
    pub thread: Thread,
    /// Translations that accesses on its behalf keep.
    pub translations: Translations,
    /// Where its instructions need not be looked at ahead of their traps.
    pub nothing_ahead: NothingAhead,
    /// What must be done before it runs on.
    pub owed: Owed,
    /// Whether its faults lead anywhere.
    pub watchdog: Watchdog,
    /// The vector that its interrupt controller offers.
    pub offer: Option<u8>,
    /// Whether its thread runs with TF set by the server, to come back after
    /// the one instruction that an interrupt shadow covers.
    pub stepping: bool,
    /// The page fault that it delivered last, until its handler returns.
    pub faulted: Option<Faulted>,
}

/// An access that raised a page fault of the guest's own, with all that the
/// instruction's addresses depend on.
#[derive(Clone, Copy, Debug)]
pub struct Faulted {
    /// The address accessed.
    pub gva: Gva,
    /// The access.
    pub access: Access,
    context: PagingContext,
    registers: [u64; REPLY_REGISTERS],
}

/// The registers once more; in parts that are copied without a call.
const fn copied(registers: &[u64; REPLY_REGISTERS]) -> [u64; REPLY_REGISTERS] {
    let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r] = registers;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r]
}

/// Notices a vCPU that faults at one instruction and address again and again:
/// whatever it is answered does not help.
#[derive(Default)]
pub struct Watchdog {
    last: (u64, u64),
    repeated: u32,
}

impl Watchdog {
    /// Faults of an instruction at one address that may follow each other: it
    /// may have to wait for tables to be tracked, taken out of sync and walked
    /// again, and for sibling vCPUs.
    const PATIENCE: u32 = 8;

    /// Takes the next fault; `true` once when it is one too many.
    #[inline]
    pub fn fault(&mut self, rip: u64, address: u64) -> bool {
        if self.last != (rip, address) {
            self.last = (rip, address);
            self.repeated = 0;
            return false;
        }
        self.repeated += 1;
        self.repeated == Self::PATIENCE
    }

    /// The vCPU did something else meanwhile.
    pub fn progress(&mut self) {
        self.repeated = 0;
    }
}

impl Vcpu {
    /// vCPU number `id`, with its thread in the slots that the builder filled.
    pub fn new(
        id: VcpuId,
        index: usize,
        slots: &ServerSlots,
        state: &'static mut VcpuState,
    ) -> Self {
        Self {
            id,
            state,
            registers: Registers::new_zeroed(),
            thread: Thread::new(index, slots),
            translations: Translations::new(),
            nothing_ahead: NothingAhead::new(),
            owed: Owed::default(),
            watchdog: Watchdog::default(),
            offer: None,
            stepping: false,
            faulted: None,
        }
    }

    /// Its thread stopped, and its fault message said where; if the kernel tells
    /// the general registers (edit E11), it takes them back in the reply.
    #[inline]
    pub fn stopped_at(
        &mut self,
        first: [u64; 3],
        general: Option<&[Cell<u64>; GENERAL_REGISTERS]>,
    ) {
        self.thread.stopped_at(&mut self.registers, first);
        self.thread.due = Due::Registers(first.len());
        if let Some(general) = general {
            self.thread.has_general(&mut self.registers, general);
            self.thread.due = Due::Registers(REPLY_REGISTERS);
        }
        self.hide_step();
    }

    /// Its thread stopped at a page fault.
    ///
    /// # Errors
    /// As the kernel has them, where the message does not tell the registers.
    pub fn faulted_at(
        &mut self,
        fault: &VmFault,
        general: Option<&[Cell<u64>; GENERAL_REGISTERS]>,
    ) -> sel4::Result<()> {
        match (fault.sp_and_flags, general) {
            (Some([sp, flags]), Some(_)) => {
                self.stopped_at([fault.ip, sp, flags], general);
                Ok(())
            }
            _ => self.fetch_first(),
        }
    }

    /// Fetches where its thread is; nothing is known of its registers before.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn fetch_first(&mut self) -> sel4::Result<()> {
        self.thread.stopped();
        self.thread.load(&mut self.registers, RegisterSet::First)?;
        self.hide_step();
        Ok(())
    }

    /// A TF that the server has set is not the guest's.
    const fn hide_step(&mut self) {
        if self.stepping {
            self.registers.rflags &= !Rflags::TF.bits();
        }
    }

    /// Runs the next instruction alone if the interrupt shadow covers it and
    /// an interrupt waits for the shadow's end. A guest that steps itself comes
    /// back anyway.
    pub const fn step_out_of_shadow(&mut self) {
        self.stepping = false;
        if self.offer.is_some()
            && self.state.interrupts_enabled()
            && self.state.in_interrupt_shadow(&self.registers)
            && self.registers.rflags & Rflags::TF.bits() == 0
        {
            self.registers.rflags |= Rflags::TF.bits();
            self.stepping = true;
        }
    }

    /// Takes the offered vector if the vCPU can take an interrupt now, between
    /// two instructions.
    pub const fn take_offer(&mut self) -> Option<u8> {
        if self.offer.is_some() && self.state.interrupt_window_open(&self.registers) {
            self.offer.take()
        } else {
            None
        }
    }

    /// Its thread stopped, and its fault message brought all general registers, and
    /// perhaps the bases.
    pub fn stopped_with(&mut self, fault: &UnknownSyscall, bases: Option<[u64; 2]>) {
        self.thread.stopped_with(&mut self.registers, fault, bases);
        self.hide_step();
    }

    /// Its paging state.
    #[inline]
    pub fn context(&self) -> PagingContext {
        paging::context(self.id, self.state)
    }

    /// Remembers the access of the instruction at which the vCPU is stopped.
    pub fn remember(&mut self, gva: Gva, access: Access) {
        self.faulted = None;
        let context = self.context();
        if let Some(registers) = self.thread.known_registers(&self.registers) {
            self.faulted = Some(Faulted { gva, access, context, registers: copied(registers) });
        }
    }

    /// The access that faulted, if what comes next is that very instruction again:
    /// in the same address space, with the same registers (its flags do not move
    /// its operands). Another process may have faulted at the same address.
    #[inline]
    pub fn repeats(&mut self) -> Option<Faulted> {
        let faulted = self.faulted.as_ref()?;
        if faulted.registers[0] != self.registers.rip {
            return None;
        }
        let registers = self.thread.known_registers(&self.registers)?;
        let [rip, rsp, _, general @ ..] = &faulted.registers;
        let same = [*rip, *rsp] == registers[..2]
            && general.iter().eq(&registers[3..]) // word by word, without a call
            && faulted.context == self.context();
        if same { self.faulted.take() } else { None }
    }
}
