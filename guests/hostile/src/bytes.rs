//! Random code with random registers.

use guest_excursion::Context;
use guest_runtime::{Random, println};

use crate::ground::{CODE, DATA, DATA_PAGES, PAGE};
use crate::options::Options;
use crate::trial::{FIXED, IF, TF, Trials, user};

/// Strings that start in one page of random bytes.
const IN_A_PAGE: u64 = 512;
/// Arithmetic flags, DF, NT, AC, ID.
const FLAGS: u64 = 0x24_4cd5;
/// IRETD without REX.W, and what stands in its place.
const IRET: u8 = 0xcf;
const NOP: u8 = 0x90;

/// Runs as many strings as asked for.
pub fn run(trials: &mut Trials<'_>, options: &Options) {
    let mut random = Random::of(options.seed, 0);
    for string in 0..options.bytes {
        if string % IN_A_PAGE == 0 {
            (0..PAGE / 8).for_each(|index| {
                trials.ground.put_word(index, code(&mut random));
            });
        }
        let context = start(&mut random);
        trials.run(&context);
    }
    println!("bytes: {} strings", options.bytes);
}

/// Eight bytes of code.
fn code(random: &mut Random) -> u64 {
    let bytes = random.word().to_le_bytes();
    u64::from_le_bytes(bytes.map(|byte| if byte == IRET { NOP } else { byte }))
}

/// Registers that are random, or lead to data.
fn start(random: &mut Random) -> Context {
    let mut context = user();
    let choices = random.word();
    for (index, register) in context.general.iter_mut().enumerate() {
        *register = match choices >> (2 * index) & 3 {
            0 => random.word(),
            1 => random.below(256),
            _ => DATA + random.below(DATA_PAGES * PAGE),
        };
    }
    context.rip = CODE + random.below(PAGE - 16);
    context.rsp = DATA + 8 * random.below(DATA_PAGES * PAGE / 8);
    let step = if random.once_in(8) { TF } else { 0 };
    // Interrupts stay on, so that the timer ends what loops.
    context.rflags = FIXED | IF | random.word() & FLAGS | step;
    context
}
