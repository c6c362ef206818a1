//! Selectors in loads and far transfers, at both levels.

use guest_excursion::Context;
use guest_runtime::View;
use guest_runtime::descriptors::selector::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};

use crate::ground::{CODE, DATA, PAGE};
use crate::options::Options;
use crate::trial::{FIXED, IF, Trials, user};

/// The first selector behind the tables of the guest and of seL4.
const OUTSIDE: u64 = 0x80;
/// Where far pointers and frames are, and where transfers go: an undefined instruction.
const STACK: u64 = DATA + 0x800;
const TARGET: u64 = CODE + 0x100;

/// Instructions that take a selector from AX or from the stack.
const FORMS: [&[u8]; 20] = [
    &[0x8e, 0xc0],             // mov es, ax
    &[0x8e, 0xd0],             // mov ss, ax
    &[0x8e, 0xd8],             // mov ds, ax
    &[0x8e, 0xe0],             // mov fs, ax
    &[0x8e, 0xe8],             // mov gs, ax
    &[0x50, 0x0f, 0xa1],       // push rax; pop fs
    &[0x50, 0x0f, 0xa9],       // push rax; pop gs
    &[0x0f, 0xb2, 0x0c, 0x24], // lss ecx, [rsp]
    &[0x0f, 0xb4, 0x0c, 0x24], // lfs ecx, [rsp]
    &[0x0f, 0xb5, 0x0c, 0x24], // lgs ecx, [rsp]
    &[0xff, 0x2c, 0x24],       // jmp far [rsp], 16:32
    &[0x48, 0xff, 0x2c, 0x24], // jmp far [rsp], 16:64
    &[0xff, 0x1c, 0x24],       // call far [rsp], 16:32
    &[0x48, 0xff, 0x1c, 0x24], // call far [rsp], 16:64
    &[0x66, 0xff, 0x2c, 0x24], // jmp far [rsp], 16:16
    &[0xcb],                   // lret, 32-bit
    &[0x48, 0xcb],             // lretq
    &[0x48, 0xcf],             // iretq, CS
    &[0x48, 0xcf],             // iretq, SS
    &[0x0f, 0x00, 0xd0],       // lldt ax
];
const FAR_32: [usize; 5] = [7, 8, 9, 10, 12];
const LRET_32: usize = 15;
const IRETQ: [usize; 2] = [17, 18];

/// Tries all selectors of the tables, and some beyond.
pub fn run(trials: &mut Trials<'_>, options: &Options) {
    let beyond = (OUTSIDE..0x1_0000).step_by(options.selectors as usize);
    for selector in (0..OUTSIDE).chain(beyond) {
        for form in 0..FORMS.len() {
            trial(trials, form, selector, &user());
            // Beyond the tables the levels do not matter.
            if selector < OUTSIDE {
                trial(trials, form, selector, &kernel());
            }
        }
    }
}

/// The same addresses, at CPL 0.
fn kernel() -> Context {
    Context { cs: KERNEL_CODE.into(), ss: KERNEL_DATA.into(), ..user() }
}

fn trial(trials: &mut Trials<'_>, form: usize, selector: u64, context: &Context) {
    // 32-bit code that the guest has runs bare and raises #GP here: nothing but
    // undefined instructions stand where it would go on.
    trials.ground.put_word((TARGET - CODE) / 8, 0x0b0f_0b0f_0b0f_0b0f);
    trials.ground.put(&[FORMS[form]]);
    let words = if FAR_32.contains(&form) || form == LRET_32 {
        // An offset of 32 bits cannot name the target: there is nothing.
        [TARGET & 0xffff_ffff | selector << 32, 0, 0, 0, 0]
    } else if IRETQ[0] == form {
        [TARGET, selector, FIXED | IF, DATA, USER_DATA.into()]
    } else if IRETQ[1] == form {
        [TARGET, USER_CODE.into(), FIXED | IF, DATA, selector]
    } else {
        [TARGET, selector, 0, 0, 0]
    };
    let page = View::at(STACK & !(PAGE - 1));
    for (index, word) in (STACK % PAGE / 8..).zip(words) {
        page.write(index, word);
    }
    let mut context = *context;
    context.rsp = STACK;
    context.general[0] = selector;
    trials.run(&context);
}
