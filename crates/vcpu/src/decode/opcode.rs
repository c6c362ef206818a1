//! The opcode table (SDM vol. 2D, appendix A).

use super::cursor::Cursor;
use super::operand::{ModRm, Prefixes, Rm, Width};
use super::{Control, DecodeError, Operation, Port, StringStep, Table};
use crate::segment::SegmentName;

type Decoded = Result<Operation, DecodeError>;

const UNCLAIMED: Decoded = Err(DecodeError::Unclaimed);

/// Takes one instruction.
pub(super) fn operation(cursor: &mut Cursor<'_>) -> Decoded {
    let prefixes = Prefixes::take(cursor)?;
    // None of ours can be locked (#UD).
    if prefixes.lock {
        return UNCLAIMED;
    }
    match cursor.u8()? {
        0x0f => two_byte(cursor, &prefixes),
        opcode => one_byte(opcode, cursor, &prefixes),
    }
}

fn one_byte(opcode: u8, cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Decoded {
    Ok(match opcode {
        0x6c => Operation::Ins(step(prefixes, true)),
        0x6d => Operation::Ins(step(prefixes, false)),
        0x6e => Operation::Outs(step(prefixes, true)),
        0x6f => Operation::Outs(step(prefixes, false)),
        0x8c => {
            let modrm = ModRm::take(cursor, prefixes)?;
            let segment = segment(modrm.extension())?;
            Operation::MovFromSegment { segment, target: modrm.rm, width: prefixes.width() }
        }
        0x8e => {
            let modrm = ModRm::take(cursor, prefixes)?;
            match segment(modrm.extension())? {
                SegmentName::Cs => return UNCLAIMED,
                segment => Operation::MovToSegment { segment, source: modrm.rm },
            }
        }
        0x9c => Operation::PushFlags { width: prefixes.stack_width() },
        0x9d => Operation::PopFlags { width: prefixes.stack_width() },
        0xca => Operation::FarReturn { width: prefixes.width(), release: cursor.u16()? },
        0xcb => Operation::FarReturn { width: prefixes.width(), release: 0 },
        0xcc => Operation::Int3,
        0xcd => Operation::Int { vector: cursor.u8()? },
        0xcf => Operation::Iret { width: prefixes.width() },
        0xe4 => Operation::In { size: 1, port: Port::Immediate(cursor.u8()?) },
        0xe5 => Operation::In { size: port_size(prefixes), port: Port::Immediate(cursor.u8()?) },
        0xe6 => Operation::Out { size: 1, port: Port::Immediate(cursor.u8()?) },
        0xe7 => Operation::Out { size: port_size(prefixes), port: Port::Immediate(cursor.u8()?) },
        0xec => Operation::In { size: 1, port: Port::Dx },
        0xed => Operation::In { size: port_size(prefixes), port: Port::Dx },
        0xee => Operation::Out { size: 1, port: Port::Dx },
        0xef => Operation::Out { size: port_size(prefixes), port: Port::Dx },
        0xf1 => Operation::Int1,
        0xf4 => Operation::Hlt,
        0xfa => Operation::Cli,
        0xfb => Operation::Sti,
        0xff => {
            let modrm = ModRm::take(cursor, prefixes)?;
            let width = prefixes.width();
            match modrm.extension() {
                3 => Operation::FarCall { width, memory: modrm.memory()? },
                5 => Operation::FarJump { width, memory: modrm.memory()? },
                _ => return UNCLAIMED,
            }
        }
        _ => return UNCLAIMED,
    })
}

fn two_byte(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Decoded {
    let width = prefixes.width();
    Ok(match cursor.u8()? {
        0x00 => return group6(cursor, prefixes),
        0x01 => return group7(cursor, prefixes),
        opcode @ (0x02 | 0x03) => {
            let modrm = ModRm::take(cursor, prefixes)?;
            let (register, source) = (modrm.reg, modrm.rm);
            match opcode {
                0x02 => Operation::Lar { register, width, source },
                _ => Operation::Lsl { register, width, source },
            }
        }
        0x05 => Operation::Syscall,
        0x06 => Operation::Clts,
        0x07 => Operation::Sysret { long: prefixes.wide() },
        0x08 => Operation::Invd,
        0x09 => Operation::Wbinvd,
        0x0b => Operation::Ud2,
        0x20 => {
            let (number, register) = ModRm::take_registers(cursor, prefixes)?;
            Operation::MovFromControl { control: control(number)?, register }
        }
        0x21 => {
            let (debug, register) = debug(cursor, prefixes)?;
            Operation::MovFromDebug { debug, register }
        }
        0x22 => {
            let (number, register) = ModRm::take_registers(cursor, prefixes)?;
            Operation::MovToControl { control: control(number)?, register }
        }
        0x23 => {
            let (debug, register) = debug(cursor, prefixes)?;
            Operation::MovToDebug { debug, register }
        }
        0x30 => Operation::Wrmsr,
        0x31 => Operation::Rdtsc,
        0x32 => Operation::Rdmsr,
        0x33 => Operation::Rdpmc,
        0x34 => Operation::Sysenter,
        0x35 => Operation::Sysexit { long: prefixes.wide() },
        0x38 => return invpcid(cursor, prefixes),
        0xa0 => push(SegmentName::Fs, prefixes),
        0xa1 => pop(SegmentName::Fs, prefixes),
        0xa2 => Operation::Cpuid,
        0xa8 => push(SegmentName::Gs, prefixes),
        0xa9 => pop(SegmentName::Gs, prefixes),
        0xae => return fs_gs_base(cursor, prefixes),
        opcode @ (0xb2 | 0xb4 | 0xb5) => {
            let modrm = ModRm::take(cursor, prefixes)?;
            let segment = match opcode {
                0xb2 => SegmentName::Ss,
                0xb4 => SegmentName::Fs,
                _ => SegmentName::Gs,
            };
            let memory = modrm.memory()?;
            Operation::LoadFarPointer { segment, register: modrm.reg, width, memory }
        }
        _ => return UNCLAIMED,
    })
}

/// 66 0F 38 82, whose operand must be memory.
fn invpcid(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Decoded {
    if cursor.u8()? != 0x82 || !prefixes.operand_16 || prefixes.repeat.is_some() {
        return UNCLAIMED;
    }
    ModRm::take(cursor, prefixes)?.memory()?;
    Ok(Operation::Invpcid)
}

/// 0F 00: LDT and task registers, VERR and VERW.
fn group6(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Decoded {
    let modrm = ModRm::take(cursor, prefixes)?;
    let width = prefixes.width();
    Ok(match modrm.extension() {
        0 => Operation::Sldt { target: modrm.rm, width },
        1 => Operation::Str { target: modrm.rm, width },
        2 => Operation::Lldt { source: modrm.rm },
        3 => Operation::Ltr { source: modrm.rm },
        extension @ (4 | 5) => Operation::Verify { source: modrm.rm, write: extension == 5 },
        _ => return UNCLAIMED,
    })
}

/// 0F 01: descriptor tables, machine status word, INVLPG, and a register
/// form per instruction of its own.
fn group7(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Decoded {
    let modrm = ModRm::take(cursor, prefixes)?;
    let width = prefixes.width();
    match modrm.extension() {
        4 => {
            return Ok(Operation::Smsw { target: modrm.rm, width });
        }
        6 => return Ok(Operation::Lmsw { source: modrm.rm }),
        _ => {}
    }
    let Rm::Memory(memory) = modrm.rm else {
        return group7_register(modrm.byte, prefixes);
    };
    Ok(match modrm.extension() {
        0 => Operation::StoreTable { table: Table::Gdt, memory },
        1 => Operation::StoreTable { table: Table::Idt, memory },
        2 => Operation::LoadTable { table: Table::Gdt, memory },
        3 => Operation::LoadTable { table: Table::Idt, memory },
        7 => Operation::Invlpg { memory },
        _ => return UNCLAIMED,
    })
}

fn group7_register(modrm: u8, prefixes: &Prefixes) -> Decoded {
    let plain = !prefixes.operand_16 && prefixes.repeat.is_none();
    Ok(match modrm {
        0xc8 if plain => Operation::Monitor,
        0xc9 if plain => Operation::Mwait,
        0xd0 if plain => Operation::Xgetbv,
        0xd1 if plain => Operation::Xsetbv,
        0xf8 => Operation::Swapgs,
        0xf9 => Operation::Rdtscp,
        _ => return UNCLAIMED,
    })
}

fn fs_gs_base(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Decoded {
    let modrm = ModRm::take(cursor, prefixes)?;
    match (modrm.rm, modrm.extension(), prefixes.repeat) {
        (Rm::Register(_), 0..=3, Some(0xf3)) => Ok(Operation::FsGsBase),
        _ => UNCLAIMED,
    }
}

fn segment(number: u8) -> Result<SegmentName, DecodeError> {
    SegmentName::from_number(number).ok_or(DecodeError::Unclaimed)
}

fn control(number: u8) -> Result<Control, DecodeError> {
    Ok(match number {
        0 => Control::Cr0,
        2 => Control::Cr2,
        3 => Control::Cr3,
        4 => Control::Cr4,
        8 => Control::Cr8,
        _ => return Err(DecodeError::Unclaimed),
    })
}

/// Number of the debug register (0 to 7) and of the general register.
fn debug(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Result<(u8, u8), DecodeError> {
    match ModRm::take_registers(cursor, prefixes)? {
        (number @ 0..=7, register) => Ok((number, register)),
        _ => Err(DecodeError::Unclaimed),
    }
}

const fn push(segment: SegmentName, prefixes: &Prefixes) -> Operation {
    Operation::PushSegment { segment, width: prefixes.stack_width() }
}

const fn pop(segment: SegmentName, prefixes: &Prefixes) -> Operation {
    Operation::PopSegment { segment, width: prefixes.stack_width() }
}

/// Port operands are never 64 bits wide: REX.W leaves them at 32, even after 66.
const fn port_size(prefixes: &Prefixes) -> u8 {
    match prefixes.width() {
        Width::Word => 2,
        Width::Double | Width::Quad => 4,
    }
}

const fn step(prefixes: &Prefixes, byte: bool) -> StringStep {
    StringStep {
        size: if byte { 1 } else { port_size(prefixes) },
        repeat: prefixes.repeat.is_some(),
        address_32: prefixes.address_32,
        segment: prefixes.segment,
    }
}
