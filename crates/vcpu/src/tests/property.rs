//! Random code, registers and state: no panic, and faults without side effects.

use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::rig::*;
use crate::testing::{FUZZ_RAM, Random, exercise, exercise_code};
use crate::{Completion, Outcome, Registers, Trap, VcpuState};

/// Bytes that begin an instruction of ours more often than not.
pub fn code() -> impl Strategy<Value = Vec<u8>> {
    let prefix = prop_oneof![Just(vec![]), Just(vec![0x48]), Just(vec![0x66]), Just(vec![0xf3])];
    let opcode = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u8>().prop_map(|byte| vec![0x0f, byte]),
        prop::sample::select(vec![0x00, 0x01, 0x20, 0x22, 0x23, 0x30, 0x32])
            .prop_map(|byte| vec![0x0f, byte]),
        prop::sample::select(vec![0x8e, 0xcf, 0xcb, 0xca, 0xcd, 0xff, 0x6d, 0x6f, 0xef])
            .prop_map(|byte| vec![byte]),
    ];
    (prefix, opcode, any::<[u8; 8]>())
        .prop_map(|(prefix, opcode, tail)| [prefix, opcode, tail.to_vec()].concat())
}

/// Values that pass or fail checks: addresses, selectors, edges.
pub fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..RAM as u64,
        0..0x70_u64,
        prop::sample::select(vec![
            STACK,
            DATA,
            TSS,
            GDT,
            0,
            1,
            u64::MAX,
            1 << 47,
            (1 << 47) - 1,
            0xc000_0080,
            0xc000_0101,
            0x277,
            0x8001_0031,
            0x620,
        ]),
    ]
}

fn general(registers: &Registers) -> [u64; 15] {
    let numbers = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    numbers.map(|number| registers.get(number))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    /// A faulting instruction changes no register but those of delivery, and
    /// its frame shows where it began.
    #[test]
    fn faults_have_no_side_effects(
        code in code(),
        values in prop::collection::vec(value(), 15),
        user in any::<bool>(),
        rflags in any::<u32>(),
    ) {
        let mut rig = if user { Rig::user() } else { Rig::new() };
        for (number, value) in [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].iter().zip(values) {
            rig.registers.set(*number, value);
        }
        // All but TF, which adds a trap after the instruction.
        rig.registers.rflags = u64::from(rflags) & 0x24_4cd5 | 0x202;
        let before = rig.registers;
        let state = rig.state;
        let rflags = rig.state.guest_rflags(&rig.registers);
        let outcome = rig.run(&code);
        let entered = (0..=19).find(|vector| rig.registers.rip == handler(*vector));
        let software = matches!(
            crate::decode(&code).map(|found| found.operation),
            Ok(crate::Operation::Int { .. } | crate::Operation::Int1 | crate::Operation::Int3)
        );
        match (outcome, entered) {
            (Outcome::Resume, Some(vector)) if !software => {
                prop_assert_eq!(general(&rig.registers), general(&before));
                prop_assert_eq!(rig.registers.fs_base, before.fs_base);
                prop_assert_eq!(rig.registers.gs_base, before.gs_base);
                let coded = matches!(vector, 8 | 10..=14 | 17);
                let frame = if coded {
                    let [_, frame @ ..] = rig.frame_with_code(vector);
                    frame
                } else {
                    rig.frame(vector)
                };
                let expected = [
                    CODE,
                    state.cs.selector.into(),
                    rflags | 0x1_0000,
                    before.rsp,
                    state.ss.selector.into(),
                ];
                prop_assert_eq!(frame, expected);
                let after = VcpuState {
                    cr2: state.cr2, cs: state.cs, ss: state.ss, cpl: state.cpl, rflags: state.rflags,
                    ..rig.state
                };
                prop_assert_eq!(after.as_bytes(), state.as_bytes());
            }
            (Outcome::Exit(_), _) => {
                let halted = rig.state.activity == VcpuState::HALTED;
                prop_assert_eq!(general(&rig.registers), general(&before));
                prop_assert_eq!(rig.registers.rip == CODE, !halted);
                prop_assert!(!matches!(rig.complete(Completion::Done), Outcome::Shutdown(_)));
            }
            (outcome, _) => prop_assert!(!matches!(outcome, Outcome::Shutdown(_))),
        }
        prop_assert_eq!(rig.registers.rflags & 0x200, 0x200, "the real IF stays set");
        prop_assert_eq!(rig.registers.rflags & 0x3000, 0, "the real IOPL stays zero");
    }
}

/// A state, mostly sane or not at all.
fn random_state(random: &mut Random) -> VcpuState {
    if random.next() & 1 == 0 {
        return VcpuState::read_from_bytes(&random.bytes::<{ size_of::<VcpuState>() }>()[..])
            .expect("any bytes are a state");
    }
    let mut state = VcpuState::long_mode(0, 8, 16);
    state.cpl = random.next() as u32 & 3;
    state.gdtr.limit = random.next() as u16;
    state.idtr.limit = random.next() as u16 & 0xfff;
    state.idtr.base = random.next() & 0x1ff0;
    state.efer |= random.next() & 1;
    state
}

/// Any state, any registers, any memory, any traps: an outcome.
#[test]
fn arbitrary_state() {
    let mut random = Random(0x2545_f491);
    for _ in 0..30_000 {
        let mut input = random_state(&mut random).as_bytes().to_vec();
        let mut registers =
            Registers::from_words(core::array::from_fn(|_| random.next() >> (random.next() & 63)));
        if random.next() & 3 != 0 {
            registers.rip = 0x1000;
        }
        input.extend_from_slice(registers.as_bytes());
        input.extend_from_slice(&random.bytes::<8>());
        let memory = input.len();
        input.extend_from_slice(&random.bytes::<512>().repeat(FUZZ_RAM / 512));
        let prefix = [0x0f, 0x0f, 0x48, 0x66][random.next() as usize & 3];
        input[memory + 0x1000] = prefix;
        exercise(&input);
    }
}

/// Any code on a CPU that is set up well.
#[test]
fn arbitrary_code() {
    let mut random = Random(0x9e37_79b9);
    for _ in 0..30_000 {
        let mut registers =
            Registers::from_words(core::array::from_fn(|_| random.next() >> (random.next() & 63)));
        registers.rsp = 0x800 + random.next() % 0x700;
        let mut input = registers.as_bytes().to_vec();
        input.extend_from_slice(&random.bytes::<0x400>());
        exercise_code(&input);
    }
}

/// The same instruction by every trap that can lead to it ends the same way.
#[test]
fn the_error_code_does_not_matter() {
    for error_code in [0, 2, 0x802, 0x402, u64::MAX] {
        let mut rig = Rig::new();
        rig.machine.put(CODE, &[0x0f, 0x06]);
        let trap = Trap::Exception { vector: 13, error_code };
        assert_eq!(rig.trap(trap), Outcome::Resume);
        assert_eq!(rig.registers.rip, CODE + 2);
    }
}
