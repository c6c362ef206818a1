//! SYSCALL reaches the handler whatever the registers hold, and with all of them.

use guest_excursion::{Context, SYSCALL};

use crate::ground::CODE;
use crate::options::Options;
use crate::trial::{FIXED, IF, Trials, user};

const RCX: usize = 2;
const RDX: usize = 3;
const R11: usize = 10;
/// Length of SYSCALL.
const LENGTH: u64 = 2;

const EDGES: [u64; 12] = [
    0,
    1,
    0xff,
    0xffff_ffff,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    // seL4's first and last system calls.
    -1_i64 as u64,
    -8_i64 as u64,
    -13_i64 as u64,
];

/// Tries all.
pub fn run(trials: &mut Trials<'_>, _: &Options) {
    trials.ground.put(&[&[0x0f, 0x05]]);
    for number in -64_i64..=64 {
        let mut context = distinct();
        context.general[RDX] = number as u64;
        trial(trials, &context);
    }
    for edge in EDGES {
        for register in 0..15 {
            let mut context = distinct();
            context.general[register] = edge;
            trial(trials, &context);
        }
        let mut context = distinct();
        context.general = [edge; 15];
        trial(trials, &context);
        context.rsp = edge;
        trial(trials, &context);
    }
    // Arithmetic flags, DF, NT, AC and ID, none and all.
    for flags in [0, 0x24_4cd5] {
        let mut context = distinct();
        context.rflags = FIXED | IF | flags;
        trial(trials, &context);
    }
}

/// A different value in each register.
fn distinct() -> Context {
    let mut context = user();
    context.general = core::array::from_fn(|index| 0x1111_0000_0000_0000 * (index as u64 + 1));
    context
}

fn trial(trials: &mut Trials<'_>, context: &Context) {
    let trap = trials.run(context);
    let mut expected = context.general;
    (expected[RCX], expected[R11]) = (CODE + LENGTH, context.rflags);
    assert_eq!(trap.vector, SYSCALL, "{context:x?}");
    assert_eq!(trap.context.general, expected, "{context:x?}");
    assert_eq!(trap.context.rsp, context.rsp, "{context:x?}");
}
