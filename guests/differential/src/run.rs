//! One sequence: started, resumed behind each trap, and taken into the digest.

use guest_runtime::{Digest, println};

use crate::descriptors;
use crate::enter::{Context, SYSCALL, Trap, enter};
use crate::generate::{Sequence, edge, flags};
use crate::layout::{CODE, DATA, KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
use crate::pages::Pages;
use crate::random::Random;
use crate::system::System;

/// Traps after which a sequence is given up.
const TRAPS: u32 = 48;
/// RDI, RSI and RSP at the start.
const DESTINATION: u64 = DATA + 0x100;
const SOURCE: u64 = DATA + 0x800;
const STACK: u64 = DATA + 0xe00;
/// RFLAGS.RF.
const RESUME: u64 = 1 << 16;
/// Index of R12 among the general registers.
const R12: usize = 11;

/// Runs the next sequence of `random`; `trace` prints it.
pub fn run(random: &mut Random, pages: &Pages, digest: &mut Digest, trace: bool) {
    let count = 4 + random.below(12);
    let sequence = Sequence::generate(random, count, CODE);
    pages.reset(sequence.bytes());
    descriptors::reset();
    let mut context = start(random);
    System::initial().restore(&System::read());
    if trace {
        println!("code {:02x?}", sequence.bytes());
    }
    for _ in 0..TRAPS {
        let trap = enter(&context);
        take(&trap, digest);
        if trace {
            println!("{trap:x?}");
        }
        context = trap.context;
        context.rflags &= !RESUME;
        match resume(&trap, &sequence) {
            Some(rip) => context.rip = rip,
            None => break,
        }
        if trap.vector == SYSCALL {
            // SYSCALL says nothing of these; user code goes on.
            (context.cs, context.ss) = (USER_CODE.into(), USER_DATA.into());
        }
    }
    let system = System::read();
    if trace {
        println!("{system:x?}");
        println!("gdt {:x?}", [9, 10].map(descriptors::descriptor));
        let (mut number, mut data) = (0_u64, Digest::new());
        pages.each_word(|word| {
            data.word(word);
            number += 1;
            if number > 512 + 128 {
                println!("accessed, dirty {word:x}");
            }
        });
        println!("pages {:x}", data.value());
    }
    finish(&system, pages, digest);
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
    let (cs, ss) = if random.once_in(2) {
        (KERNEL_CODE, KERNEL_DATA)
    } else {
        (USER_CODE, USER_DATA)
    };
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

/// Takes the registers of `trap` into the digest.
fn take(trap: &Trap, digest: &mut Digest) {
    let Context {
        general,
        rip,
        cs,
        rflags,
        rsp,
        ss,
    } = trap.context;
    // QEMU 7.2 does not set RF in the frames of faults (SDM vol. 3B, §17.3.1.1).
    let rflags = rflags & !RESUME;
    digest.word(trap.vector);
    digest.word(trap.error_code.map_or(u64::MAX, comparable));
    for word in [rip, cs, rflags, rsp, ss].into_iter().chain(general) {
        digest.word(word);
    }
}

/// QEMU 7.2 puts the vector times sixteen, not eight, into error codes that
/// name a gate in 64-bit mode (SDM vol. 3A, §6.13).
const fn comparable(error_code: u64) -> u64 {
    const NAMES_A_GATE: u64 = 2;
    if error_code & NAMES_A_GATE != 0 {
        NAMES_A_GATE
    } else {
        error_code
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
    pages.each_word(|word| digest.word(word));
}
