//! One sequence: started, resumed behind each trap, and taken into the digest.

use guest_excursion::{Context, SYSCALL, Trap, enter};
use guest_runtime::{Digest, Random, println};

use crate::descriptors;
use crate::generate::{Sequence, edge, flags};
use crate::layout::{CODE, DATA, KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
use crate::pages::Pages;
use crate::system::System;

/// Traps after which a sequence is given up.
const TRAPS: u32 = 48;
/// RDI, RSI and RSP at the start.
const DESTINATION: u64 = DATA + 0x100;
const SOURCE: u64 = DATA + 0x800;
const STACK: u64 = DATA + 0xe00;
/// Vector of what an undefined instruction raises.
const INVALID_OPCODE: u64 = 6;
/// RFLAGS.RF.
const RESUME: u64 = 1 << 16;
/// Index of RCX among the general registers.
const RCX: usize = 2;
/// Index of R11.
const R11: usize = 10;
/// Index of R12 among the general registers.
const R12: usize = 11;

/// Runs sequences, one after the other.
pub struct Runner {
    pages: Pages,
    /// What the sequence before left; reading it costs more than most sequences.
    system: Option<System>,
}

impl Runner {
    pub const fn new(pages: Pages) -> Self {
        Self { pages, system: None }
    }

    /// Runs the sequence of `random`; `trace` prints it.
    pub fn run(&mut self, random: &mut Random, digest: &mut Digest, trace: bool) {
        let count = 4 + random.below(12);
        let sequence = Sequence::generate(random, count, CODE);
        self.pages.reset(sequence.bytes());
        descriptors::reset();
        let context = start(random);
        let system = self.system.take().unwrap_or_else(System::read);
        System::initial(sequence.first_dr6()).restore(&system);
        if trace {
            println!("code {:02x?}", sequence.bytes());
        }
        traps(context, &sequence, digest, trace);
        let system = System::read();
        if trace {
            println!("{system:x?}");
            println!("gdt {:x?}", [9, 10].map(descriptors::descriptor));
            println!("accessed, dirty {:x?}", self.pages.accessed_and_dirty());
            println!("pages {:x}", self.pages.digest());
        }
        finish(&system, &self.pages, digest);
        self.system = Some(system);
    }
}

/// Runs `sequence` from `context` on, and takes all that traps into the digest.
fn traps(mut context: Context, sequence: &Sequence, digest: &mut Digest, trace: bool) {
    let mut taken = 0;
    while taken < TRAPS {
        let trap = comparable(enter(&context), sequence);
        context = trap.context;
        if is_step_of_one_only(&trap, sequence) {
            continue;
        }
        taken += 1;
        take(&trap, digest);
        if trace {
            println!("{trap:x?}");
        }
        match resume(&trap, sequence) {
            Some(rip) => context.rip = rip,
            None => break,
        }
        if trap.vector == SYSCALL {
            // SYSCALL says nothing of these; user code goes on.
            (context.cs, context.ss) = (USER_CODE.into(), USER_DATA.into());
        }
    }
}

/// Registers to start with, at either level.
fn start(random: &mut Random) -> Context {
    let mut context = Context {
        general: core::array::from_fn(|_| edge(random)),
        rip: CODE,
        rflags: flags(random),
        rsp: STACK,
        ..Context::default()
    };
    context.general[4] = SOURCE;
    context.general[5] = DESTINATION;
    context.general[R12] = 1 << 47;
    let (cs, ss) =
        if random.once_in(2) { (KERNEL_CODE, KERNEL_DATA) } else { (USER_CODE, USER_DATA) };
    (context.cs, context.ss) = (cs.into(), ss.into());
    context
}

/// Where to go on: at the frame's RIP after what traps behind an instruction,
/// behind the instruction after a fault; nowhere outside the sequence.
fn resume(trap: &Trap, sequence: &Sequence) -> Option<u64> {
    let rip = trap.context.rip;
    if rip == sequence.end() {
        return None;
    }
    let software = trap.error_code.is_none() && sequence.interrupts(rip, trap.vector);
    match trap.vector {
        1 | 3 | 32.. => sequence.holds(rip).then_some(rip),
        _ if software => Some(rip),
        _ => sequence.behind(rip),
    }
}

/// `trap` without what cannot be equal. QEMU 7.2 does not set RF in the frames of
/// faults (SDM vol. 3B, §17.3.1.1), and puts the vector times sixteen, not
/// eight, into error codes that name a gate (vol. 3A, §6.13). RCX and R11 are lost when
/// SYSCALL is disabled, since the real processor has executed it.
fn comparable(mut trap: Trap, sequence: &Sequence) -> Trap {
    const NAMES_A_GATE: u64 = 2;
    if let Some(code) = trap.error_code
        && code & NAMES_A_GATE != 0
    {
        trap.error_code = Some(NAMES_A_GATE);
    }
    let context = &mut trap.context;
    context.rflags &= !RESUME;
    if trap.vector == INVALID_OPCODE && sequence.calls(context.rip) {
        (context.general[RCX], context.general[R11]) = (0, 0);
    }
    trap
}

/// Whether `trap` is a single step where QEMU 7.2 is not the manual; it is not
/// taken. With `-icount` QEMU stops at REP INS and REP OUTS once more, with
/// nothing left to do, before it stops behind them; and it does not stop behind STI.
fn is_step_of_one_only(trap: &Trap, sequence: &Sequence) -> bool {
    let Context { general, rip, .. } = trap.context;
    trap.vector == 1 && (sequence.enables(rip) || general[RCX] == 0 && sequence.repeats(rip))
}

/// Takes the registers of `trap` into the digest.
fn take(trap: &Trap, digest: &mut Digest) {
    let Context { general, rip, cs, rflags, rsp, ss } = trap.context;
    digest.word(trap.vector);
    digest.word(trap.error_code.unwrap_or(u64::MAX));
    for word in [rip, cs, rflags, rsp, ss].into_iter().chain(general) {
        digest.word(word);
    }
}

fn finish(system: &System, pages: &Pages, digest: &mut Digest) {
    for word in [system.cr0, system.cr2, system.cr4, system.cr8] {
        digest.word(word);
    }
    for word in system.debug.into_iter().chain(system.msrs) {
        digest.word(word);
    }
    (0..descriptors::DESCRIPTORS).for_each(|index| digest.word(descriptors::descriptor(index)));
    digest.word(pages.digest());
}
