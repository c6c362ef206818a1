//! A vCPU's thread: its registers as the kernel has them, and its address space.
//!
//! Registers travel only when somebody needs them. Word order is the
//! kernel's: RIP, RSP and RFLAGS first, then RAX RBX RCX RDX RSI …, the two
//! bases last. `known` says how many of them are known to equal the thread's.
//! With kernel edit E11 fault messages bring most of them, those of system calls all, and
//! replies take them back; without it they are read and written by invocations.

use core::cell::Cell;

use sel4::fault::{ALL_REGISTERS, GENERAL_REGISTERS, REPLY_REGISTERS};
use sel4::{CNodeCapData, CPtr, MessageInfo, UserContext, cap, fault, ipc_buffer};
use shadow_core::SpaceId;
use system::cspace::{self, ServerSlots};
use vcpu::{RegisterSet, Registers};
use zerocopy::FromZeros;

use crate::caps::Caps;
use crate::requests::Answer;

/// Registers that a fault message or three words of a read bring.
const FIRST: usize = 3;

/// Words of a reply that travel in machine registers.
const FAST: usize = sel4::NUM_FAST_MESSAGE_REGISTERS;

/// The reply that a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// None, or somebody else gets the next one.
    Nothing,
    /// To a page fault or an exception; it can set this many registers.
    Registers(usize),
    /// To an unknown system call; it sets all registers but the bases.
    SystemCall,
}

/// The registers as words, in place: copies of all twenty cost more than what
/// most traps do with them.
fn words(registers: &Registers) -> &[u64; UserContext::WORDS] {
    zerocopy::transmute_ref!(registers)
}

fn words_mut(registers: &mut Registers) -> &mut [u64; UserContext::WORDS] {
    zerocopy::transmute_mut!(registers)
}

/// The thread of one vCPU.
pub struct Thread {
    cap: cap::Tcb,
    cnode: cap::CNode,
    /// The registers that the thread has, as far as `known`: those that
    /// instructions have asked for, and so may have changed.
    has: Registers,
    known: usize,
    /// How many its vCPU's registers have from the thread's fault message.
    arrived: usize,
    /// The reply that it waits for.
    pub due: Due,
    /// Whether replies set the bases too; a message has shown it.
    takes_bases: bool,
    /// The address space that the thread runs in.
    space: Option<SpaceId>,
}

impl Thread {
    /// Thread of vCPU number `index`, in the slots that the builder filled.
    /// It has never run, so its registers are zeros.
    pub fn new(index: usize, slots: &ServerSlots) -> Self {
        Self {
            cap: cap::Tcb::from_bits(slots.vcpus.first + index as u64),
            cnode: cap::CNode::from_bits(slots.vcpu_cnodes.first + index as u64),
            has: Registers::new_zeroed(),
            known: UserContext::WORDS,
            arrived: UserContext::WORDS,
            due: Due::Nothing,
            takes_bases: false,
            space: None,
        }
    }

    /// The thread stopped, and its fault message said where.
    pub fn stopped_at(&mut self, registers: &mut Registers, [rip, rsp, rflags]: [u64; FIRST]) {
        for known in [&mut self.has, registers] {
            (known.rip, known.rsp, known.rflags) = (rip, rsp, rflags);
        }
        (self.known, self.arrived) = (FIRST, FIRST);
    }

    /// Its fault message also has the general registers.
    pub fn has_general(
        &mut self,
        registers: &mut Registers,
        general: &[Cell<u64>; GENERAL_REGISTERS],
    ) {
        let registers = &mut words_mut(registers)[FIRST..REPLY_REGISTERS];
        for (register, word) in registers.iter_mut().zip(general) {
            *register = word.get();
        }
        self.arrived = REPLY_REGISTERS;
    }

    /// The thread stopped, and its fault message brought all, or all but the bases.
    pub fn stopped_with(
        &mut self,
        registers: &mut Registers,
        fault: &fault::UnknownSyscall,
        bases: Option<[u64; 2]>,
    ) {
        self.stopped_at(registers, [fault.rip, fault.rsp, fault.rflags]);
        let [general @ .., _, _, _, _] = fault.into_words();
        words_mut(registers)[FIRST..REPLY_REGISTERS].copy_from_slice(&general);
        self.arrived = REPLY_REGISTERS;
        if let Some(bases) = bases {
            [registers.fs_base, registers.gs_base] = bases;
            (self.arrived, self.takes_bases) = (ALL_REGISTERS, true);
        }
        self.due = Due::SystemCall;
    }

    /// The thread stopped, and nothing is known of its registers.
    pub fn stopped(&mut self) {
        (self.known, self.arrived) = (0, 0);
        self.due = Due::Nothing;
    }

    /// The registers up to R15, if all are known.
    #[inline]
    pub fn known_registers<'a>(
        &self,
        registers: &'a Registers,
    ) -> Option<&'a [u64; REPLY_REGISTERS]> {
        let known = self.known.max(self.arrived) >= REPLY_REGISTERS;
        words(registers).first_chunk().filter(|_| known)
    }

    /// Fetches the registers of `set` that the fault message did not bring; none
    /// of them will change.
    #[inline]
    pub fn read(&mut self, registers: &mut Registers, set: RegisterSet) -> sel4::Result<()> {
        if set.words() <= self.arrived {
            return Ok(());
        }
        self.load(registers, set)
    }

    /// Fetches the registers of `set` that are not known yet, so that they can change.
    #[inline]
    pub fn load(&mut self, registers: &mut Registers, set: RegisterSet) -> sel4::Result<()> {
        let count = set.words().min(UserContext::WORDS);
        if count <= self.known {
            return Ok(());
        }
        let has = &mut words_mut(&mut self.has)[..count];
        let registers = &mut words_mut(registers)[self.known..count];
        if count <= self.arrived {
            for (has, register) in has[self.known..].iter_mut().zip(registers) {
                *has = *register;
            }
        } else {
            self.cap.tcb_read_words(false, has)?;
            registers.copy_from_slice(&has[self.known..]);
        }
        self.known = count;
        Ok(())
    }

    /// How many registers, from the first, must travel to make the thread's
    /// equal to `registers`.
    fn changed(&self, registers: &Registers) -> usize {
        let (now, has) = (words(registers), words(&self.has));
        let (now, has) = (&now[..self.known], &has[..self.known]);
        let mut count = self.known;
        while count > 0 && now[count - 1] == has[count - 1] {
            count -= 1;
        }
        count
    }

    /// The reply that lets the thread run on with `registers`, if one is due and
    /// can set all that have changed. It must be sent at once.
    #[inline]
    pub fn reply(&mut self, registers: &Registers) -> Option<Answer> {
        match core::mem::replace(&mut self.due, Due::Nothing) {
            Due::Nothing => None,
            Due::Registers(most) => self.reply_with(registers, most),
            Due::SystemCall => self.reply_to_system_call(registers),
        }
    }

    fn reply_with(&self, registers: &Registers, most: usize) -> Option<Answer> {
        let mut count = self.changed(registers).max(FIRST);
        if count > most {
            if !self.can_set_bases() {
                return None;
            }
            count = ALL_REGISTERS;
        }
        let words = words(registers);
        if count > FAST {
            let buffer = &ipc_buffer().msg_regs()[FAST..count];
            for (register, word) in buffer.iter().zip(&words[FAST..count]) {
                register.set(*word);
            }
        }
        let [first, second, third, fourth, ..] = *words;
        let info = MessageInfo::new(0, 0, 0, count);
        Some((info, [first, second, third, fourth]))
    }

    /// Whether a reply can set both bases, which must be known for that.
    const fn can_set_bases(&self) -> bool {
        self.takes_bases && self.known >= ALL_REGISTERS
    }

    fn reply_to_system_call(&self, registers: &Registers) -> Option<Answer> {
        let bases = |registers: &Registers| [registers.fs_base, registers.gs_base];
        let changed = self.known > REPLY_REGISTERS && bases(registers) != bases(&self.has);
        if changed && !self.can_set_bases() {
            return None;
        }
        // RAX to R15 come first in what an unknown system call is answered with.
        let mut answer = [0; fault::UnknownSyscall::WORDS];
        let first = &mut answer[..REPLY_REGISTERS];
        first.copy_from_slice(&words(registers)[..REPLY_REGISTERS]);
        first.rotate_left(FIRST);
        let answer = fault::UnknownSyscall::from_words(&answer);
        let (info, words) = answer.stage_reply(ipc_buffer());
        if !changed {
            return Some((info, words));
        }
        let last = &ipc_buffer().msg_regs()[REPLY_REGISTERS..ALL_REGISTERS];
        for (register, base) in last.iter().zip(bases(registers)) {
            register.set(base);
        }
        Some((MessageInfo::new(0, 0, 0, ALL_REGISTERS), words))
    }

    /// Lets the thread run on with `registers`.
    pub fn resume(&self, registers: &Registers) -> sel4::Result<()> {
        let changed = self.changed(registers).max(1);
        self.cap.tcb_write_words(true, &words(registers)[..changed])
    }

    /// Moves the thread to `space` if it is not there already.
    pub fn enter(&mut self, space: SpaceId, caps: &Caps) -> sel4::Result<()> {
        if self.space == Some(space) {
            return Ok(());
        }
        self.cap.tcb_set_space(
            CPtr::from_bits(cspace::vcpu::FAULT_ENDPOINT),
            self.cnode,
            Some(CNodeCapData::skip(64 - cspace::vcpu::RADIX as usize)),
            caps.space(space),
        )?;
        self.space = Some(space);
        Ok(())
    }
}
