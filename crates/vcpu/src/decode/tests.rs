//! The decoder against iced-x86, over every opcode and over random bytes.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction as Iced, Mnemonic, OpKind, Register};

use super::*;
use crate::testing::Random;

fn oracle(bytes: &[u8]) -> Iced {
    Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).decode()
}

/// Name that both sides agree on, or `None` for what the decoder leaves to
/// hardware. `None` too for LOCK prefixes.
fn expected(iced: &Iced) -> Option<&'static str> {
    if iced.is_invalid() || iced.has_lock_prefix() {
        return None;
    }
    Some(match iced.mnemonic() {
        Mnemonic::Hlt => "hlt",
        Mnemonic::Cli => "cli",
        Mnemonic::Sti => "sti",
        Mnemonic::Clts => "clts",
        Mnemonic::Invd => "invd",
        Mnemonic::Wbinvd | Mnemonic::Wbnoinvd => "wbinvd",
        Mnemonic::Swapgs => "swapgs",
        Mnemonic::Rdmsr => "rdmsr",
        Mnemonic::Wrmsr => "wrmsr",
        Mnemonic::Rdpmc => "rdpmc",
        Mnemonic::Rdtsc => "rdtsc",
        Mnemonic::Rdtscp => "rdtscp",
        Mnemonic::Invpcid => "invpcid",
        Mnemonic::Pushf | Mnemonic::Pushfq => "pushf",
        Mnemonic::Popf | Mnemonic::Popfq => "popf",
        Mnemonic::Lar => "lar",
        Mnemonic::Lsl => "lsl",
        Mnemonic::Verr => "verr",
        Mnemonic::Verw => "verw",
        Mnemonic::Cpuid => "cpuid",
        Mnemonic::Monitor => "monitor",
        Mnemonic::Mwait => "mwait",
        Mnemonic::Xgetbv => "xgetbv",
        Mnemonic::Xsetbv => "xsetbv",
        Mnemonic::Ud2 => "ud2",
        Mnemonic::Syscall => "syscall",
        Mnemonic::Sysenter => "sysenter",
        Mnemonic::Sysexit | Mnemonic::Sysexitq => "sysexit",
        Mnemonic::Sysret | Mnemonic::Sysretq => "sysret",
        Mnemonic::Int1 => "int1",
        Mnemonic::Int3 => "int3",
        Mnemonic::Int => "int",
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => "iret",
        Mnemonic::Retf => "retf",
        Mnemonic::Lgdt => "lgdt",
        Mnemonic::Lidt => "lidt",
        Mnemonic::Sgdt => "sgdt",
        Mnemonic::Sidt => "sidt",
        Mnemonic::Lldt => "lldt",
        Mnemonic::Ltr => "ltr",
        Mnemonic::Sldt => "sldt",
        Mnemonic::Str => "str",
        Mnemonic::Smsw => "smsw",
        Mnemonic::Lmsw => "lmsw",
        Mnemonic::Invlpg => "invlpg",
        Mnemonic::Lss => "lss",
        Mnemonic::Lfs => "lfs",
        Mnemonic::Lgs => "lgs",
        Mnemonic::In => "in",
        Mnemonic::Out => "out",
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => "ins",
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => "outs",
        Mnemonic::Rdfsbase | Mnemonic::Rdgsbase | Mnemonic::Wrfsbase | Mnemonic::Wrgsbase => {
            "fsgsbase"
        }
        Mnemonic::Push => match iced.op0_register() {
            Register::FS => "push fs",
            Register::GS => "push gs",
            _ => return None,
        },
        Mnemonic::Pop => match iced.op0_register() {
            Register::FS => "pop fs",
            Register::GS => "pop gs",
            _ => return None,
        },
        Mnemonic::Call => match iced.code() {
            Code::Call_m1616 | Code::Call_m1632 | Code::Call_m1664 => "far call",
            _ => return None,
        },
        Mnemonic::Jmp => match iced.code() {
            Code::Jmp_m1616 | Code::Jmp_m1632 | Code::Jmp_m1664 => "far jmp",
            _ => return None,
        },
        Mnemonic::Mov => return expected_mov(iced),
        _ => return None,
    })
}

fn expected_mov(iced: &Iced) -> Option<&'static str> {
    let (to, from) = (iced.op0_register(), iced.op1_register());
    let register =
        |kind, register: Register| kind == OpKind::Register && register != Register::None;
    Some(if register(iced.op0_kind(), to) && to.is_cr() {
        "mov to cr"
    } else if register(iced.op1_kind(), from) && from.is_cr() {
        "mov from cr"
    } else if to.is_dr() {
        "mov to dr"
    } else if from.is_dr() {
        "mov from dr"
    } else if to.is_segment_register() {
        if to == Register::CS {
            return None;
        }
        "mov to sreg"
    } else if from.is_segment_register() {
        "mov from sreg"
    } else {
        return None;
    })
}

const fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Hlt => "hlt",
        Operation::Cli => "cli",
        Operation::Sti => "sti",
        Operation::Clts => "clts",
        Operation::Invd => "invd",
        Operation::Wbinvd => "wbinvd",
        Operation::Swapgs => "swapgs",
        Operation::Rdmsr => "rdmsr",
        Operation::Wrmsr => "wrmsr",
        Operation::Rdpmc => "rdpmc",
        Operation::Rdtsc => "rdtsc",
        Operation::Rdtscp => "rdtscp",
        Operation::Invpcid => "invpcid",
        Operation::PushFlags { .. } => "pushf",
        Operation::PopFlags { .. } => "popf",
        Operation::Lar { .. } => "lar",
        Operation::Lsl { .. } => "lsl",
        Operation::Verify { write: false, .. } => "verr",
        Operation::Verify { write: true, .. } => "verw",
        Operation::Cpuid => "cpuid",
        Operation::Monitor => "monitor",
        Operation::Mwait => "mwait",
        Operation::Xgetbv => "xgetbv",
        Operation::Xsetbv => "xsetbv",
        Operation::Ud2 => "ud2",
        Operation::Syscall => "syscall",
        Operation::Sysenter => "sysenter",
        Operation::Sysexit { .. } => "sysexit",
        Operation::Sysret { .. } => "sysret",
        Operation::Int1 => "int1",
        Operation::Int3 => "int3",
        Operation::Int { .. } => "int",
        Operation::Iret { .. } => "iret",
        Operation::FarReturn { .. } => "retf",
        Operation::FarJump { .. } => "far jmp",
        Operation::FarCall { .. } => "far call",
        Operation::MovFromControl { .. } => "mov from cr",
        Operation::MovToControl { .. } => "mov to cr",
        Operation::MovFromDebug { .. } => "mov from dr",
        Operation::MovToDebug { .. } => "mov to dr",
        Operation::LoadTable { table: Table::Gdt, .. } => "lgdt",
        Operation::LoadTable { table: Table::Idt, .. } => "lidt",
        Operation::StoreTable { table: Table::Gdt, .. } => "sgdt",
        Operation::StoreTable { table: Table::Idt, .. } => "sidt",
        Operation::Lldt { .. } => "lldt",
        Operation::Ltr { .. } => "ltr",
        Operation::Sldt { .. } => "sldt",
        Operation::Str { .. } => "str",
        Operation::Smsw { .. } => "smsw",
        Operation::Lmsw { .. } => "lmsw",
        Operation::Invlpg { .. } => "invlpg",
        Operation::MovFromSegment { .. } => "mov from sreg",
        Operation::MovToSegment { .. } => "mov to sreg",
        Operation::PushSegment { segment: SegmentName::Fs, .. } => "push fs",
        Operation::PushSegment { .. } => "push gs",
        Operation::PopSegment { segment: SegmentName::Fs, .. } => "pop fs",
        Operation::PopSegment { .. } => "pop gs",
        Operation::LoadFarPointer { segment: SegmentName::Ss, .. } => "lss",
        Operation::LoadFarPointer { segment: SegmentName::Fs, .. } => "lfs",
        Operation::LoadFarPointer { .. } => "lgs",
        Operation::In { .. } => "in",
        Operation::Out { .. } => "out",
        Operation::Ins(_) => "ins",
        Operation::Outs(_) => "outs",
        Operation::FsGsBase => "fsgsbase",
    }
}

/// Compares one decoding with iced's; whether ours claims it.
#[track_caller]
fn compare(bytes: &[u8]) -> bool {
    let iced = oracle(bytes);
    match decode(bytes) {
        Ok(ours) => {
            assert_eq!(Some(name(&ours.operation)), expected(&iced), "{bytes:02x?} {iced:?}");
            assert_eq!(usize::from(ours.length), iced.len(), "{bytes:02x?}");
            compare_operands(&ours, &iced, bytes);
            true
        }
        Err(DecodeError::TooLong) => {
            assert!(iced.is_invalid(), "{bytes:02x?}");
            false
        }
        Err(error) => {
            assert_eq!(expected(&iced), None, "{error:?} {bytes:02x?}");
            false
        }
    }
}

fn compare_operands(ours: &Instruction, iced: &Iced, bytes: &[u8]) {
    match ours.operation {
        Operation::MovFromControl { control, register }
        | Operation::MovToControl { control, register } => {
            let number = match control {
                Control::Cr0 => 0,
                Control::Cr2 => 2,
                Control::Cr3 => 3,
                Control::Cr4 => 4,
                Control::Cr8 => 8,
            };
            assert_numbers(iced, number, register, bytes);
        }
        Operation::MovFromDebug { debug, register } | Operation::MovToDebug { debug, register } => {
            assert_numbers(iced, debug, register, bytes);
        }
        Operation::LoadTable { memory, .. }
        | Operation::StoreTable { memory, .. }
        | Operation::Invlpg { memory } => assert_memory(iced, &memory, ours.length, bytes),
        Operation::FarJump { width, memory } | Operation::FarCall { width, memory } => {
            assert_memory(iced, &memory, ours.length, bytes);
            let code = match width {
                Width::Word => [Code::Jmp_m1616, Code::Call_m1616],
                Width::Double => [Code::Jmp_m1632, Code::Call_m1632],
                Width::Quad => [Code::Jmp_m1664, Code::Call_m1664],
            };
            assert!(code.contains(&iced.code()), "{bytes:02x?}");
        }
        Operation::LoadFarPointer { register, width, memory, .. } => {
            assert_memory(iced, &memory, ours.length, bytes);
            assert_general(iced.op0_register(), register, Some(width.bytes()), bytes);
        }
        Operation::Lldt { source } | Operation::Ltr { source } | Operation::Lmsw { source } => {
            assert_rm(iced, 0, source, None, ours.length, bytes);
        }
        Operation::Sldt { target, width }
        | Operation::Str { target, width }
        | Operation::Smsw { target, width }
        | Operation::MovFromSegment { target, width, .. } => {
            assert_rm(iced, 0, target, Some(width), ours.length, bytes);
            if let Operation::MovFromSegment { segment, .. } = ours.operation {
                assert_eq!(segment as usize, iced.op1_register().number(), "{bytes:02x?}");
            }
        }
        Operation::MovToSegment { segment, source } => {
            assert_rm(iced, 1, source, None, ours.length, bytes);
            assert_eq!(segment as usize, iced.op0_register().number(), "{bytes:02x?}");
        }
        Operation::Int { vector } => assert_eq!(vector, iced.immediate8(), "{bytes:02x?}"),
        Operation::FarReturn { width, release } => {
            let (plain, with_immediate) = match width {
                Width::Word => (Code::Retfw, Code::Retfw_imm16),
                Width::Double => (Code::Retfd, Code::Retfd_imm16),
                Width::Quad => (Code::Retfq, Code::Retfq_imm16),
            };
            assert!(
                iced.code() == plain && release == 0 || iced.code() == with_immediate,
                "{bytes:02x?}"
            );
            if iced.code() == with_immediate {
                assert_eq!(release, iced.immediate16(), "{bytes:02x?}");
            }
        }
        Operation::Iret { width } => assert_eq!(
            iced.code(),
            match width {
                Width::Word => Code::Iretw,
                Width::Double => Code::Iretd,
                Width::Quad => Code::Iretq,
            },
            "{bytes:02x?}"
        ),
        Operation::Sysret { long } => {
            assert_eq!(long, iced.code() == Code::Sysretq, "{bytes:02x?}")
        }
        Operation::Sysexit { long } => {
            assert_eq!(long, iced.code() == Code::Sysexitq, "{bytes:02x?}")
        }
        Operation::Verify { source, .. } => {
            assert_rm(iced, 0, source, None, ours.length, bytes);
        }
        Operation::Lar { register, width, source } | Operation::Lsl { register, width, source } => {
            assert_rm(iced, 1, source, None, ours.length, bytes);
            assert_general(iced.op0_register(), register, Some(width.bytes()), bytes);
        }
        Operation::PushFlags { width }
        | Operation::PopFlags { width }
        | Operation::PushSegment { width, .. }
        | Operation::PopSegment { width, .. } => {
            assert_eq!(usize::from(width.bytes()), stack_bytes(iced), "{bytes:02x?}");
        }
        Operation::In { size, port } => {
            assert_port(iced.op0_register(), iced, 1, size, port, bytes)
        }
        Operation::Out { size, port } => {
            assert_port(iced.op1_register(), iced, 0, size, port, bytes);
        }
        Operation::Ins(step) => {
            assert_eq!(usize::from(step.size), iced.memory_size().size(), "{bytes:02x?}");
            assert_eq!(step.address_32, iced.op0_kind() == OpKind::MemoryESEDI, "{bytes:02x?}");
            assert_eq!(
                step.repeat,
                iced.has_rep_prefix() || iced.has_repne_prefix(),
                "{bytes:02x?}"
            );
        }
        Operation::Outs(step) => {
            assert_eq!(usize::from(step.size), iced.memory_size().size(), "{bytes:02x?}");
            assert_eq!(step.address_32, iced.op1_kind() == OpKind::MemorySegESI, "{bytes:02x?}");
            assert_eq!(
                step.repeat,
                iced.has_rep_prefix() || iced.has_repne_prefix(),
                "{bytes:02x?}"
            );
            assert_segment(step.segment, iced, bytes);
        }
        _ => {}
    }
}

fn stack_bytes(iced: &Iced) -> usize {
    iced.stack_pointer_increment().unsigned_abs() as usize
}

fn assert_port(data: Register, iced: &Iced, operand: u32, size: u8, port: Port, bytes: &[u8]) {
    assert_eq!(usize::from(size), data.size(), "{bytes:02x?}");
    match port {
        Port::Dx => assert_eq!(iced.op_register(operand), Register::DX, "{bytes:02x?}"),
        Port::Immediate(value) => assert_eq!(value, iced.immediate8(), "{bytes:02x?}"),
    }
}

/// MOV with a control or debug register on one side, a general one on the other.
fn assert_numbers(iced: &Iced, system: u8, general: u8, bytes: &[u8]) {
    let (a, b) = (iced.op0_register(), iced.op1_register());
    let (ours, other) = if a.is_gpr() { (a, b) } else { (b, a) };
    assert_eq!(other.number(), usize::from(system), "{bytes:02x?}");
    assert_general(ours, general, Some(8), bytes);
}

fn assert_general(register: Register, number: u8, size: Option<u8>, bytes: &[u8]) {
    assert!(register.is_gpr(), "{bytes:02x?}");
    assert_eq!(register.number(), usize::from(number), "{bytes:02x?}");
    if let Some(size) = size {
        assert_eq!(register.size(), usize::from(size), "{bytes:02x?}");
    }
}

fn assert_rm(iced: &Iced, operand: u32, rm: Rm, width: Option<Width>, length: u8, bytes: &[u8]) {
    match rm {
        Rm::Memory(memory) => assert_memory(iced, &memory, length, bytes),
        Rm::Register(number) => {
            assert_general(iced.op_register(operand), number, width.map(Width::bytes), bytes);
        }
    }
}

fn assert_segment(segment: Option<SegmentName>, iced: &Iced, bytes: &[u8]) {
    let expected = match iced.segment_prefix() {
        Register::FS => Some(SegmentName::Fs),
        Register::GS => Some(SegmentName::Gs),
        _ => None,
    };
    assert_eq!(segment, expected, "{bytes:02x?}");
}

fn assert_memory(iced: &Iced, memory: &Memory, length: u8, bytes: &[u8]) {
    assert_segment(memory.segment, iced, bytes);
    let number = |register: Register| register.number() as u8;
    if memory.rip_relative {
        let wide = iced.memory_base() == Register::RIP;
        assert!(wide || iced.memory_base() == Register::EIP, "{bytes:02x?}");
        assert_eq!(memory.address_32, !wide, "{bytes:02x?}");
        // iced shows the target instead of the displacement.
        let target = (memory.displacement as u64).wrapping_add(length.into());
        let target = if wide { target } else { target & 0xffff_ffff };
        assert_eq!(target, iced.memory_displacement64(), "{bytes:02x?}");
        return;
    }
    let base = (iced.memory_base() != Register::None).then(|| number(iced.memory_base()));
    assert_eq!(memory.base, base, "{bytes:02x?}");
    let index = (iced.memory_index() != Register::None)
        .then(|| (number(iced.memory_index()), iced.memory_index_scale().trailing_zeros() as u8));
    assert_eq!(memory.index, index, "{bytes:02x?}");
    assert_eq!(memory.displacement, iced.memory_displacement64() as i32, "{bytes:02x?}");
    for register in [iced.memory_base(), iced.memory_index()] {
        if register != Register::None {
            assert_eq!(memory.address_32, register.size() == 4, "{bytes:02x?}");
        }
    }
}

/// Every opcode of both maps with every ModRM byte, after each sort of prefix.
#[test]
fn every_opcode_and_modrm() {
    let prefixes: [&[u8]; 16] = [
        &[],
        &[0x66],
        &[0xf2],
        &[0xf3],
        &[0x67],
        &[0x48],
        &[0x4f],
        &[0x44],
        &[0x41],
        &[0x42],
        &[0x66, 0x48],
        &[0x48, 0x66],
        &[0xf3, 0x66, 0x41],
        &[0x64],
        &[0x65, 0x2e, 0x67],
        &[0xf0],
    ];
    let mut claimed = 0_u32;
    let mut random = Random(1);
    for prefix in prefixes {
        for opcode in 0..512_u32 {
            for modrm in 0..=255_u8 {
                let mut bytes = [0; 24];
                let mut length = prefix.len();
                bytes[..length].copy_from_slice(prefix);
                if opcode >= 256 {
                    bytes[length] = 0x0f;
                    length += 1;
                }
                bytes[length] = opcode as u8;
                bytes[length + 1] = modrm;
                bytes[length + 2..][..16].copy_from_slice(&random.bytes::<16>());
                claimed += u32::from(compare(&bytes[..20]));
            }
        }
    }
    assert!(claimed > 100_000, "{claimed}");
}

/// Ten million random strings, biased towards prefixes and our opcodes.
#[test]
fn random_bytes() {
    const START: [u8; 24] = [
        0x0f, 0x0f, 0x0f, 0x0f, 0x66, 0x67, 0xf2, 0xf3, 0x48, 0x41, 0x4c, 0x64, 0x65, 0xff, 0x8e,
        0xcf, 0xcb, 0xcd, 0xe4, 0xef, 0x6d, 0x8c, 0x2e, 0x9c,
    ];
    const SECOND: [u8; 20] = [
        0x00, 0x01, 0x02, 0x03, 0x20, 0x22, 0x21, 0x23, 0x05, 0x07, 0x30, 0x31, 0x32, 0x38, 0xa2,
        0xa9, 0xae, 0xb2, 0xb4, 0xb5,
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut claimed = 0_u32;
    for _ in 0..10_000_000 {
        let mut bytes = random.bytes::<16>();
        let choice = random.next();
        let mut position = 0;
        for turn in 0..(choice & 3) {
            bytes[position] = START[(choice >> (8 + 8 * turn)) as usize % START.len()];
            position += 1;
        }
        if position > 0 && bytes[position - 1] == 0x0f && choice & 4 != 0 {
            bytes[position] = SECOND[(choice >> 40) as usize % SECOND.len()];
        }
        claimed += u32::from(compare(&bytes));
    }
    assert!(claimed > 1_000_000, "{claimed}");
}

/// SDM vol. 2A, §2.3.11: fifteen bytes at most.
#[test]
fn fifteen_bytes_at_most() {
    let mut bytes = [0x66; 16];
    bytes[14] = 0xf4;
    assert_eq!(decode(&bytes), Ok(Instruction { length: 15, operation: Operation::Hlt }));
    bytes[14] = 0x66;
    bytes[15] = 0xf4;
    assert_eq!(decode(&bytes), Err(DecodeError::TooLong));
}

/// A prefix of a claimed instruction is `Truncated`, never something else.
#[test]
fn cut_instructions_ask_for_more() {
    for code in [
        &[0x48, 0x0f, 0x01, 0x94, 0xd8, 1, 2, 3, 4][..],
        &[0x0f, 0x30],
        &[0xcd, 0x80],
        &[0xca, 1, 2],
        &[0xff, 0x2d, 0, 0, 0, 0],
    ] {
        assert!(decode(code).is_ok_and(|found| usize::from(found.length) == code.len()));
        for length in 0..code.len() {
            assert_eq!(decode(&code[..length]), Err(DecodeError::Truncated), "{code:02x?}");
        }
    }
}
