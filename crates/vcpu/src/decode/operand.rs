//! Prefixes, operand sizes, ModRM and SIB (SDM vol. 2A, chapter 2).

use super::DecodeError;
use super::cursor::Cursor;
use crate::Registers;
use crate::memory::Through;
use crate::segment::SegmentName;

/// Operand size of 16, 32 or 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 16 bits.
    Word,
    /// 32 bits.
    Double,
    /// 64 bits.
    Quad,
}

impl Width {
    /// The size in bytes.
    pub const fn bytes(self) -> u8 {
        match self {
            Self::Word => 2,
            Self::Double => 4,
            Self::Quad => 8,
        }
    }
}

/// The prefixes in front of an opcode.
#[derive(Clone, Copy, Default)]
pub(super) struct Prefixes {
    pub operand_16: bool,
    pub address_32: bool,
    pub lock: bool,
    /// The last of F2 and F3.
    pub repeat: Option<u8>,
    /// The last FS or GS override; the others have no effect in 64-bit mode.
    pub segment: Option<SegmentName>,
    /// The REX prefix right before the opcode, or zero.
    pub rex: u8,
}

impl Prefixes {
    /// Takes all prefixes. A REX prefix counts only as the last one.
    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let mut prefixes = Self::default();
        loop {
            let byte = cursor.peek()?;
            match byte {
                0x66 => prefixes.operand_16 = true,
                0x67 => prefixes.address_32 = true,
                0xf0 => prefixes.lock = true,
                0xf2 | 0xf3 => prefixes.repeat = Some(byte),
                0x64 => prefixes.segment = Some(SegmentName::Fs),
                0x65 => prefixes.segment = Some(SegmentName::Gs),
                0x26 | 0x2e | 0x36 | 0x3e => {}
                0x40..=0x4f => {}
                _ => return Ok(prefixes),
            }
            cursor.u8()?;
            prefixes.rex = if byte & 0xf0 == 0x40 { byte } else { 0 };
        }
    }

    /// REX.W.
    pub(super) const fn wide(&self) -> bool {
        self.rex & 8 != 0
    }

    /// Width of an operand that defaults to 32 bits.
    pub(super) const fn width(&self) -> Width {
        if self.wide() {
            Width::Quad
        } else if self.operand_16 {
            Width::Word
        } else {
            Width::Double
        }
    }

    /// Width of a stack operand, which defaults to 64 bits.
    pub(super) const fn stack_width(&self) -> Width {
        if self.operand_16 && !self.wide() { Width::Word } else { Width::Quad }
    }

    /// REX.R as the high bit of ModRM's reg field.
    const fn reg_high(&self) -> u8 {
        (self.rex & 4) << 1
    }

    /// REX.X as the high bit of SIB's index field.
    const fn index_high(&self) -> u8 {
        (self.rex & 2) << 2
    }

    /// REX.B as the high bit of ModRM's rm and SIB's base field.
    const fn base_high(&self) -> u8 {
        (self.rex & 1) << 3
    }
}

/// A memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// FS or GS override.
    pub segment: Option<SegmentName>,
    /// Base register.
    pub base: Option<u8>,
    /// Index register and log2 of its scale.
    pub index: Option<(u8, u8)>,
    /// Displacement.
    pub displacement: i32,
    /// Relative to the next instruction.
    pub rip_relative: bool,
    /// Addresses are cut to 32 bits before the segment base is added.
    pub address_32: bool,
}

impl Memory {
    /// The linear address, with the next instruction at `next_rip`.
    pub(crate) fn linear(&self, registers: &Registers, next_rip: u64) -> u64 {
        let mut address = self.displacement as u64;
        if self.rip_relative {
            address = address.wrapping_add(next_rip);
        }
        if let Some(base) = self.base {
            address = address.wrapping_add(registers.get(base));
        }
        if let Some((index, shift)) = self.index {
            address = address.wrapping_add(registers.get(index) << (shift & 3));
        }
        if self.address_32 {
            address &= 0xffff_ffff;
        }
        address.wrapping_add(match self.segment {
            Some(SegmentName::Fs) => registers.fs_base,
            Some(SegmentName::Gs) => registers.gs_base,
            _ => 0,
        })
    }

    /// The segment whose rules a non-canonical address breaks: SS for RSP
    /// and RBP as base, unless overridden (SDM vol. 1, §3.3.7.1).
    pub(crate) const fn through(&self) -> Through {
        match (self.segment, self.base) {
            (None, Some(4 | 5)) => Through::Stack,
            _ => Through::Data,
        }
    }
}

/// A ModRM operand that may be a register or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rm {
    /// A general register.
    Register(u8),
    /// Memory.
    Memory(Memory),
}

/// A ModRM byte with all that belongs to it.
#[derive(Clone, Copy)]
pub(super) struct ModRm {
    /// The byte itself.
    pub byte: u8,
    /// The reg field with REX.R.
    pub reg: u8,
    /// The operand.
    pub rm: Rm,
}

impl ModRm {
    pub(super) fn take(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Result<Self, DecodeError> {
        let byte = cursor.u8()?;
        let rm = if byte >> 6 == 3 {
            Rm::Register(byte & 7 | prefixes.base_high())
        } else {
            Rm::Memory(memory(cursor, prefixes, byte)?)
        };
        Ok(Self { byte, reg: byte >> 3 & 7 | prefixes.reg_high(), rm })
    }

    /// ModRM of MOV to and from control and debug registers, which ignore
    /// mod: the operand is a register always.
    pub(super) fn take_registers(
        cursor: &mut Cursor<'_>,
        prefixes: &Prefixes,
    ) -> Result<(u8, u8), DecodeError> {
        let byte = cursor.u8()?;
        Ok((byte >> 3 & 7 | prefixes.reg_high(), byte & 7 | prefixes.base_high()))
    }

    /// The reg field as an opcode extension.
    pub(super) const fn extension(&self) -> u8 {
        self.byte >> 3 & 7
    }

    /// The operand, which must be memory.
    pub(super) const fn memory(&self) -> Result<Memory, DecodeError> {
        match self.rm {
            Rm::Memory(memory) => Ok(memory),
            Rm::Register(_) => Err(DecodeError::Unclaimed),
        }
    }
}

/// The memory operand of a ModRM byte with mod 0, 1 or 2.
fn memory(cursor: &mut Cursor<'_>, prefixes: &Prefixes, modrm: u8) -> Result<Memory, DecodeError> {
    let mode = modrm >> 6;
    let mut operand = Memory {
        segment: prefixes.segment,
        base: None,
        index: None,
        displacement: 0,
        rip_relative: false,
        address_32: prefixes.address_32,
    };
    let mut wide_displacement = mode == 2;
    match (modrm & 7, mode) {
        (4, _) => wide_displacement |= sib(cursor, prefixes, mode, &mut operand)?,
        (5, 0) => {
            operand.rip_relative = true;
            wide_displacement = true;
        }
        (number, _) => operand.base = Some(number | prefixes.base_high()),
    }
    if wide_displacement {
        operand.displacement = cursor.i32()?;
    } else if mode == 1 {
        operand.displacement = cursor.i8()?.into();
    }
    Ok(operand)
}

/// Takes a SIB byte; whether it calls for a 32-bit displacement by itself.
fn sib(
    cursor: &mut Cursor<'_>,
    prefixes: &Prefixes,
    mode: u8,
    operand: &mut Memory,
) -> Result<bool, DecodeError> {
    let byte = cursor.u8()?;
    let index = byte >> 3 & 7 | prefixes.index_high();
    // Number 4 without REX.X means no index; R12 is a fine index.
    if index != 4 {
        operand.index = Some((index, byte >> 6));
    }
    if byte & 7 == 5 && mode == 0 {
        return Ok(true);
    }
    operand.base = Some(byte & 7 | prefixes.base_high());
    Ok(false)
}
