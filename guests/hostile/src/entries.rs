//! Every way into the kernel, behind what may delay a trap, with every flag.

use guest_excursion::Context;

use crate::ground::CODE;
use crate::options::Options;
use crate::trial::{FIXED, IF, TF, Trials, user};

const RAX: usize = 0;
const RCX: usize = 2;
const RDX: usize = 3;
/// Selectors of data at CPL 3: seL4's, which loads without a trap, and the guest's.
const STACKS: [u64; 2] = [0x33, 0x1b];

/// Entries other than INT n; RDX points to a page that is not there, RCX is zero.
pub const ENTRIES: [&[u8]; 24] = [
    &[0x0f, 0x05],                   // syscall
    &[0x0f, 0x34],                   // sysenter
    &[0x48, 0x0f, 0x07],             // sysretq
    &[0x0f, 0x0b],                   // ud2
    &[0xcc],                         // int3
    &[0xf1],                         // int1
    &[0xf4],                         // hlt
    &[0xfa],                         // cli
    &[0xfb],                         // sti
    &[0xec],                         // in al, dx
    &[0xf3, 0x6e],                   // rep outsb
    &[0xf7, 0xf1],                   // div ecx
    &[0x89, 0x02],                   // mov [rdx], eax
    &[0xff, 0xe2],                   // jmp rdx
    &[0x0f, 0x28, 0x42, 0x01],       // movaps xmm0, [rdx + 1]
    &[0x0f, 0x22, 0xd8],             // mov cr3, rax
    &[0x0f, 0x23, 0xf8],             // mov dr7, rax
    &[0x0f, 0x30],                   // wrmsr
    &[0x0f, 0x01, 0xf8],             // swapgs
    &[0x0f, 0x01, 0x12],             // lgdt [rdx]
    &[0x0f, 0x01, 0x3a],             // invlpg [rdx]
    &[0xf0, 0x90],                   // lock nop
    &[0x48, 0xcf],                   // iretq
    &[0x66, 0x66, 0x66, 0x66, 0x66], // too long with what follows
];

/// What stands before an entry: nothing; MOV SS, AX; POP SS, which is undefined
/// in 64-bit mode; PUSH RCX and POPFQ.
const NOTHING: &[u8] = &[];
const MOV_SS: &[u8] = &[0x8e, 0xd0];
const POP_SS: &[u8] = &[0x17];
const LOAD_FLAGS: &[u8] = &[0x51, 0x9d];

/// Tries all.
pub fn run(trials: &mut Trials<'_>, _: &Options) {
    interrupts(trials);
    each(|entry| {
        for flags in [0, TF] {
            for selector in STACKS {
                let mut context = start(FIXED | IF | flags);
                context.general[RAX] = selector;
                trial(trials, &[MOV_SS, entry], &context);
                trial(trials, &[MOV_SS, MOV_SS, entry], &context);
            }
            trial(trials, &[POP_SS, entry], &start(FIXED | IF | flags));
        }
        for flags in all_flags() {
            trial(trials, &[NOTHING, entry], &start(flags));
            let mut context = start(FIXED | IF);
            context.general[RCX] = flags;
            trial(trials, &[LOAD_FLAGS, entry], &context);
        }
    });
    timer(trials);
}

/// Every INT n arrives at its vector, behind the instruction. The kernel ignores
/// INT 0xff.
fn interrupts(trials: &mut Trials<'_>) {
    for vector in 0..255 {
        trials.ground.put(&[&[0xcd, vector]]);
        let trap = trials.run(&user());
        let arrived = (trap.vector, trap.context.rip);
        assert_eq!(arrived, (vector.into(), CODE + 2), "int {vector:#x}");
    }
}

/// Timer interrupts with every flag, and behind MOV SS.
fn timer(trials: &mut Trials<'_>) {
    const HERE: &[u8] = &[0xeb, 0xfe];
    const BEFORE: &[u8] = &[0xeb, 0xfc];
    // With the guest's IOPL at 3 nothing here turns interrupts off.
    for flags in all_flags() {
        trials.ground.put(&[HERE]);
        trials.spin(&start(flags | IF));
        let mut context = start(FIXED | IF);
        context.general[RCX] = flags;
        trials.ground.put(&[LOAD_FLAGS, HERE]);
        trials.spin(&context);
    }
    for selector in STACKS {
        for flags in [0, TF] {
            let mut context = start(FIXED | IF | flags);
            context.general[RAX] = selector;
            trials.ground.put(&[MOV_SS, BEFORE]);
            trials.spin(&context);
        }
    }
}

/// Each bit of RFLAGS, none, and all.
fn all_flags() -> impl Iterator<Item = u64> {
    (0..22).map(|bit| 1 << bit).chain([0, 0x3f_ffff])
}

fn each(mut entry: impl FnMut(&[u8])) {
    ENTRIES.into_iter().for_each(&mut entry);
    (0..=255).for_each(|vector| entry(&[0xcd, vector]));
}

fn trial(trials: &mut Trials<'_>, code: &[&[u8]], context: &Context) {
    trials.ground.put(code);
    trials.run(context);
}

fn start(rflags: u64) -> Context {
    let mut context = user();
    context.rflags = rflags;
    context.general[RDX] = CODE - 0x1000;
    context
}
