//! Look-ahead: what is executed ahead, what is not, and that nothing else changes.

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::rig::*;
use crate::testing::Random;
use crate::{Completion, Exit, Original, Outcome, Registers, Trap, VcpuState};

const GP: Trap = Trap::Exception { vector: 13, error_code: 0 };

fn looking(mut rig: Rig) -> Rig {
    rig.machine.shows_ahead = true;
    rig
}

/// `swapgs; iretq` in one trap, up to the user program.
#[test]
fn a_return_to_user_mode_is_one_trap() {
    let mut rig = looking(Rig::new());
    for (index, word) in
        [0x4800, USER_CODE.into(), 0x202, 0x5000, USER_DATA.into()].iter().enumerate()
    {
        rig.machine.put_u64(STACK + 8 * index as u64, *word);
    }
    rig.machine.put(0x4800, &[0xfa]);
    rig.state.kernel_gs_base = 7;
    assert_eq!(rig.run(&[0x0f, 0x01, 0xf8, 0x48, 0xcf]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.state.cpl()), (0x4800, 3));
    assert_eq!((rig.machine.looked_ahead, rig.registers.gs_base), (1, 7));
}

/// The handler of a page fault that begins by reading CR2.
#[test]
fn a_page_fault_handler_reads_cr2() {
    let mut rig = looking(Rig::new());
    rig.gate(14, KERNEL_CODE, 0x4800, 0x8e, 0);
    rig.machine.put(0x4800, &[0x0f, 0x20, 0xd0]);
    let fault =
        x86::PageFault { address: x86::Gva::new(0x1234_5678), code: x86::PageFaultCode::WRITE };
    assert_eq!(rig.trap(Trap::PageFault(fault)), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rax), (0x4803, 0x1234_5678));
}

#[test]
fn exits_come_from_ahead_too() {
    let mut rig = looking(Rig::new());
    let halt = Exit::Halt { interrupts_enabled: true };
    assert_eq!(rig.run(&[0xfb, 0xf4, 0xfa]), Outcome::Exit(halt));
    assert_eq!(rig.registers.rip, CODE + 2);
    // Completion goes on, too.
    let out = Exit::PortOut { port: 0x20, size: 1, value: 0 };
    rig.registers.rip = CODE;
    assert_eq!(rig.run(&[0xe6, 0x20, 0xfa, 0x90]), Outcome::Exit(out));
    assert_eq!(rig.complete(Completion::Done), Outcome::Resume);
    assert_eq!(rig.registers.rip, CODE + 3);
}

/// An interrupt that waits is taken as soon as it can be.
#[test]
fn a_pending_interrupt_ends_it() {
    for (pending, end) in [(false, CODE + 4), (true, CODE + 3)] {
        let mut rig = looking(Rig::new());
        rig.machine.interrupt_pending = pending;
        // CLTS stands in the shadow of STI; behind it the interrupt is taken.
        assert_eq!(rig.run(&[0xfb, 0x0f, 0x06, 0xfa]), Outcome::Resume);
        assert_eq!(rig.registers.rip, end);
        assert_eq!(rig.state.interrupt_window_open(&rig.registers), pending);
    }
}

/// User code, code across a page boundary, and what may not trap, run by themselves.
#[test]
fn what_is_left_to_the_thread() {
    for code in
        [&[0x0f, 0xa2][..], &[0x8c, 0xd8], &[0x90], &[0xcc], &[0x0f, 0x05], &[0x0f, 0x01, 0xe0]]
    {
        let mut rig = looking(Rig::new());
        rig.machine.put(CODE + 2, code);
        rig.step(&[0x0f, 0x06]);
        assert_eq!(rig.machine.looked_ahead, 0, "{code:02x?}");
    }
    let mut rig = looking(Rig::new());
    rig.registers.rip = CODE + 0xffb;
    rig.machine.put(CODE + 0xffd, &[0xfa]);
    rig.step(&[0x0f, 0x06]);
    let mut rig = looking(Rig::user());
    rig.state.rflags = 0x3000;
    rig.machine.put(CODE + 1, &[0xfa]);
    rig.step(&[0xfa]);
}

/// At most eight, and at most one that flushes.
#[test]
fn it_is_bounded() {
    let mut rig = looking(Rig::new());
    rig.machine.put(CODE, &[0xfa; 64]);
    assert_eq!(rig.trap(GP), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.machine.looked_ahead), (CODE + 9, 8));
    let mut rig = looking(Rig::new());
    rig.machine.put(CODE, &[0x0f, 0x22, 0xd8].repeat(8));
    assert_eq!(rig.trap(GP), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.machine.cr3_loads.0), (CODE + 6, 2));
}

/// What was rewritten is found by its address, and only there.
#[test]
fn rewritten_instructions() {
    let mut rig = looking(Rig::new());
    rig.machine.put(CODE + 2, &[0xf4]);
    rig.machine.rewritten = Some((CODE + 2, Original::new(&[0x9c])));
    assert_eq!(rig.run(&[0x0f, 0x06]), Outcome::Resume);
    assert_eq!((rig.registers.rip, rig.registers.rsp), (CODE + 3, STACK - 8));
    for (at, looked_ahead) in [(CODE + 2, 1), (CODE + 3, 0)] {
        let mut rig = looking(Rig::new());
        rig.machine.put(CODE + 2, &[0xcd, 0x9e]);
        rig.machine.rewritten = Some((at, Original::new(&[0x8c, 0xd8])));
        assert_eq!(rig.run(&[0x0f, 0x06]), Outcome::Resume);
        assert_eq!(rig.machine.looked_ahead, looked_ahead);
        assert_eq!(rig.registers.rax != 0, looked_ahead == 1);
    }
    // HLT stands for instructions of one byte, and for itself.
    for (at, outcome) in [
        (CODE + 2, Outcome::Resume),
        (CODE + 3, Outcome::Exit(Exit::Halt { interrupts_enabled: false })),
    ] {
        let mut rig = looking(Rig::new());
        rig.machine.put(CODE + 2, &[0xf4, 0xcc]);
        rig.machine.rewritten = Some((at, Original::new(&[0x8c, 0xd8])));
        assert_eq!(rig.run(&[0x0f, 0x06]), outcome);
        assert_eq!(rig.registers.rax != 0, outcome == Outcome::Resume);
    }
}

/// Instructions that trap, with operands that make them fault now and then.
const PIECES: &[&[u8]] = &[
    &[0xfa],
    &[0xfb],
    &[0xf4],
    &[0x48, 0xcf],
    &[0x0f, 0x01, 0xf8],
    &[0x0f, 0x06],
    &[0x48, 0x0f, 0x07],
    &[0x0f, 0x05],
    &[0x0f, 0x20, 0xd0],
    &[0x0f, 0x20, 0xd9],
    &[0x0f, 0x22, 0xd8],
    &[0x0f, 0x22, 0xe0],
    &[0x0f, 0x21, 0xf3],
    &[0x0f, 0x30],
    &[0x0f, 0x32],
    &[0x0f, 0x01, 0x3f],
    &[0x0f, 0x01, 0x1e],
    &[0x0f, 0x00, 0xd8],
    &[0x0f, 0x00, 0xd0],
    &[0xcd, 0x80],
    &[0xe6, 0x80],
    &[0xec],
    &[0xf3, 0x6c],
    &[0x6e],
    &[0x8e, 0xd8],
    &[0x8e, 0xd0],
    &[0x8c, 0xda],
];

fn program(random: &mut Random) -> Vec<u8> {
    (0..24).flat_map(|_| PIECES[random.next() as usize % PIECES.len()].iter().copied()).collect()
}

/// A rig with handlers that are programs too, and a stack of frames for IRETQ.
fn generated(seed: u64) -> Rig {
    let mut random = Random(seed | 1);
    let mut rig = if seed & 2 == 0 { Rig::new() } else { Rig::user() };
    rig.machine.put(CODE, &program(&mut random));
    for vector in 0..=255_u8 {
        let at = 0xa000 + (u64::from(vector) % 16) * 0x100;
        let attributes = if vector == 128 { 0xef } else { 0x8e };
        rig.gate(vector, KERNEL_CODE, at, attributes, 0);
    }
    for handler in 0..16 {
        rig.machine.put(0xa000 + handler * 0x100, &program(&mut random));
    }
    for frame in 0..8 {
        let at = STACK + 40 * frame;
        let user = random.next() & 1 == 0;
        let (cs, ss) = if user { (USER_CODE, USER_DATA) } else { (KERNEL_CODE, KERNEL_DATA) };
        let flags = random.next() & 0x4_0fd5 | 0x3002 & random.next();
        let rip = CODE + (random.next() & 31);
        for (index, word) in [rip, cs.into(), flags, at + 40, ss.into()].iter().enumerate() {
            rig.machine.put_u64(at + 8 * index as u64, *word);
        }
    }
    let edges =
        [0, 0x10, 0x1b, 0x28, 0x50, DATA, STACK, 0xc000_0080, 0xc000_0102, 0x80, 0x620, 3, 1 << 47];
    for number in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11] {
        let value = edges[random.next() as usize % edges.len()];
        rig.registers.set(number, value);
    }
    rig.state.rflags = random.next() & 0x3200;
    rig.state.efer |= 1;
    rig.state.star = 0x0010_0008_0000_0000;
    rig.state.lstar = 0xa300;
    rig
}

type Stop = (Vec<u8>, Registers, Vec<u8>, Outcome);

/// Runs `rig` until it stops for good or `limit` stops were seen; each stop in full.
fn stops(mut rig: Rig, limit: usize) -> (Vec<Stop>, u32) {
    let mut all = Vec::new();
    let mut outcome = Outcome::Resume;
    while all.len() < limit {
        outcome = match outcome {
            Outcome::Resume => rig.trap(Trap::Exception { vector: 13, error_code: 0 }),
            Outcome::Exit(_) => rig.complete(Completion::Value(0x5a5a_1234)),
            Outcome::Shutdown(_) => break,
        };
        all.push((rig.state.as_bytes().to_vec(), rig.registers, rig.machine.ram.to_vec(), outcome));
    }
    (all, rig.machine.looked_ahead)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// With look-ahead the CPU stops less often, and wherever it stops, state,
    /// registers and memory are what they are at some stop without.
    #[test]
    fn nothing_else_changes(seed in any::<u64>()) {
        let rig = generated(seed);
        let (single, none) = stops(rig.clone(), 40);
        prop_assert_eq!(none, 0);
        let (several, _) = stops(looking(rig), 40);
        let mut single = single.iter();
        let mut left = 40_usize;
        for stop in &several {
            let before = single.len();
            let Some(_) = single.by_ref().find(|other| *other == stop) else {
                // The other run was cut before it got here.
                prop_assert!(left <= 9, "a stop that never was, with {left} to come");
                break;
            };
            let passed = before - single.len();
            prop_assert!(passed <= 9, "{passed} stops at once");
            left -= passed;
        }
    }
}

/// The generated programs do look ahead.
#[test]
fn programs_look_ahead() {
    let looked: u32 = (0..64).map(|seed| stops(looking(generated(seed * 77)), 20).1).sum();
    assert!(looked > 200, "{looked}");
}

/// State keeps its size: the page that a restarted server finds.
#[test]
fn nothing_is_kept_in_the_state() {
    let mut rig = looking(Rig::new());
    let before = VcpuState { cr0: rig.state.cr0 & !8, ..rig.state };
    rig.step(&[0x0f, 0x06]);
    assert_eq!(rig.state, before);
}
