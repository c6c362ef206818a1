//! RIP and RSP where canonical addresses end, and where mappings do.

use guest_runtime::descriptors::selector::{KERNEL_CODE, KERNEL_DATA};

use crate::entries::ENTRIES;
use crate::ground::{EDGE, PAGE};
use crate::options::Options;
use crate::trial::{Trials, user};

const RAX: usize = 0;
const RCX: usize = 2;
const RDX: usize = 3;
const R11: usize = 10;

/// Addresses about edges. Nothing is mapped from 0x7ffffffff000 up.
const EDGES: [u64; 16] = [
    0,
    1,
    0xfff,
    EDGE + PAGE - 1,
    EDGE + PAGE,
    0x7fff_ffff_fff8,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0x8000_0000_0001,
    0xffff_7fff_ffff_ffff,
    0xffff_8000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_fff8,
    0xffff_ffff_ffff_ffff,
    0x7fff_ffff_ffff_ffff,
];

/// Jumps to RAX, SYSRET to RCX among them.
const JUMPS: [&[u8]; 4] = [
    &[0xff, 0xe0],       // jmp rax
    &[0xff, 0xd0],       // call rax
    &[0x50, 0xc3],       // push rax; ret
    &[0x48, 0x0f, 0x07], // sysretq, at CPL 0
];

/// Uses of the stack.
const STACKS: [&[u8]; 8] = [
    &[0x50],                   // push rax
    &[0x58],                   // pop rax
    &[0xe8, 0, 0, 0, 0],       // call
    &[0xc3],                   // ret
    &[0x48, 0xcb],             // lretq
    &[0x48, 0xcf],             // iretq
    &[0x48, 0x89, 0x04, 0x24], // mov [rsp], rax
    &[0xc8, 0x10, 0x00, 0x1f], // enter 16, 31
];

/// Tries all.
pub fn run(trials: &mut Trials<'_>, _: &Options) {
    for edge in EDGES {
        jumps(trials, edge);
        stacks(trials, edge);
    }
    last_bytes(trials);
}

fn jumps(trials: &mut Trials<'_>, edge: u64) {
    let mut context = user();
    (context.general[RAX], context.general[RCX]) = (edge, edge);
    context.general[R11] = context.rflags;
    for code in JUMPS {
        trials.ground.put(&[code]);
        trials.run(&context);
        let kernel =
            guest_excursion::Context { cs: KERNEL_CODE.into(), ss: KERNEL_DATA.into(), ..context };
        trials.run(&kernel);
    }
    trials.run(&guest_excursion::Context { rip: edge, ..context });
}

fn stacks(trials: &mut Trials<'_>, edge: u64) {
    let mut context = user();
    context.rsp = edge;
    context.general[RDX] = edge;
    for code in STACKS.into_iter().chain(ENTRIES) {
        trials.ground.put(&[code]);
        trials.run(&context);
    }
}

/// Instructions that end, or are cut, where the mapped addresses end.
fn last_bytes(trials: &mut Trials<'_>) {
    for code in ENTRIES.into_iter().chain([&[0x90][..], &[0x48]]) {
        let mut context = user();
        context.rip = trials.ground.put_at_edge(code);
        trials.run(&context);
    }
    for vector in 0..=255 {
        let mut context = user();
        context.rip = trials.ground.put_at_edge(&[0xcd, vector]);
        trials.run(&context);
    }
}
