//! A vCPU's thread: its registers as the kernel has them, and its address space.
//!
//! Registers travel only when somebody needs them. Word order is the
//! kernel's: RIP, RSP and RFLAGS first, then RAX RBX RCX RDX RSI …, the two
//! bases last. `loaded` says how many of them are known to equal the thread's.

use sel4::{CNodeCapData, CPtr, MessageInfo, UserContext, cap, fault, ipc_buffer};
use shadow_core::SpaceId;
use system::cspace::{self, ServerSlots};
use vcpu::{RegisterSet, Registers};
use zerocopy::FromZeros;

use crate::caps::Caps;
use crate::requests::Answer;

/// Registers that a fault message or three words of a read bring.
const FIRST: usize = 3;
/// Registers that the message of an unknown system call brings: all but the bases.
const GENERAL: usize = 18;

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
    /// The registers that the thread has, as far as `loaded`.
    has: Registers,
    loaded: usize,
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
            loaded: UserContext::WORDS,
            space: None,
        }
    }

    /// The thread stopped, and its fault message said where.
    pub fn stopped_at(&mut self, registers: &mut Registers, [rip, rsp, rflags]: [u64; FIRST]) {
        for known in [&mut self.has, registers] {
            (known.rip, known.rsp, known.rflags) = (rip, rsp, rflags);
        }
        self.loaded = FIRST;
    }

    /// The thread stopped, and its fault message brought all but the bases.
    pub fn stopped_with(&mut self, registers: &mut Registers, fault: &fault::UnknownSyscall) {
        for known in [&mut self.has, registers] {
            *known = Registers {
                rip: fault.rip,
                rsp: fault.rsp,
                rflags: fault.rflags,
                rax: fault.rax,
                rbx: fault.rbx,
                rcx: fault.rcx,
                rdx: fault.rdx,
                rsi: fault.rsi,
                rdi: fault.rdi,
                rbp: fault.rbp,
                r8: fault.r8,
                r9: fault.r9,
                r10: fault.r10,
                r11: fault.r11,
                r12: fault.r12,
                r13: fault.r13,
                r14: fault.r14,
                r15: fault.r15,
                fs_base: known.fs_base,
                gs_base: known.gs_base,
            };
        }
        self.loaded = GENERAL;
    }

    /// The thread stopped, and nothing is known of its registers.
    pub fn stopped(&mut self) {
        self.loaded = 0;
    }

    /// Fetches the registers of `set` that are not known yet.
    pub fn load(&mut self, registers: &mut Registers, set: RegisterSet) -> sel4::Result<()> {
        let count = set.words().min(UserContext::WORDS);
        if count <= self.loaded {
            return Ok(());
        }
        let mut context = UserContext::default();
        self.cap
            .tcb_read_registers_into(false, count, &mut context)?;
        let new = &context.words()[self.loaded..count];
        words_mut(&mut self.has)[self.loaded..count].copy_from_slice(new);
        words_mut(registers)[self.loaded..count].copy_from_slice(new);
        self.loaded = count;
        Ok(())
    }

    /// How many registers, from the first, must travel to make the thread's
    /// equal to `registers`.
    fn changed(&self, registers: &Registers) -> usize {
        let (now, has) = (words(registers), words(&self.has));
        (0..self.loaded)
            .rev()
            .find(|word| now[*word] != has[*word])
            .map_or(0, |last| last + 1)
    }

    /// The answer to an exception that lets the thread run on, if only RIP, RSP
    /// and RFLAGS have changed.
    pub fn answer(&self, registers: &Registers) -> Option<Answer> {
        let words = [registers.rip, registers.rsp, registers.rflags, 0];
        (self.changed(registers) <= FIRST).then_some((MessageInfo::new(0, 0, 0, FIRST), words))
    }

    /// The answer to an unknown system call that lets the thread run on, if no
    /// base has changed.
    pub fn answer_all(&self, registers: &Registers) -> Option<Answer> {
        let bases = |registers: &Registers| [registers.fs_base, registers.gs_base];
        let based = self.loaded > GENERAL && bases(registers) != bases(&self.has);
        if self.loaded < GENERAL || based {
            return None;
        }
        let answer = fault::UnknownSyscall {
            rip: registers.rip,
            rsp: registers.rsp,
            rflags: registers.rflags,
            rax: registers.rax,
            rbx: registers.rbx,
            rcx: registers.rcx,
            rdx: registers.rdx,
            rsi: registers.rsi,
            rdi: registers.rdi,
            rbp: registers.rbp,
            r8: registers.r8,
            r9: registers.r9,
            r10: registers.r10,
            r11: registers.r11,
            r12: registers.r12,
            r13: registers.r13,
            r14: registers.r14,
            r15: registers.r15,
            syscall: 0,
        };
        Some(answer.stage_reply(ipc_buffer()))
    }

    /// Lets the thread run on with `registers`.
    pub fn resume(&self, registers: &Registers) -> sel4::Result<()> {
        let mut context = UserContext::default();
        *context.words_mut() = registers.to_words();
        self.cap
            .tcb_write_registers(true, self.changed(registers).max(1), &context)
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
