//! Linear sweep over what descent left: padding, code behind indirect jumps,
//! code without symbols, and data.
//!
//! A gap inside a function is code if its instructions tile it exactly, from
//! the instruction before to the one behind or the function's end: this is the cross-check of sweep
//! and descent. Anywhere else, and where they do not tile, a gap may be code or
//! data; that matters only if it looks like holding a sensitive instruction.

use std::fmt;

use iced_x86::Instruction;

use super::Code;
use super::marks::PERHAPS;
use super::sections::Kind;
use super::sensitive::Nature;

/// A sensitive instruction, or something that looks like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Where.
    pub address: u64,
    /// Why it cannot be told.
    pub reason: Reason,
}

/// Why code and data, or two readings of code, cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing leads here, and no function symbol covers it.
    Unreached,
    /// The bytes around it are not all instructions, or do not end where the
    /// next one begins.
    Mixed,
    /// Another instruction shares bytes with it.
    Overlapped,
    /// Its bytes of the file are loaded at two addresses.
    LoadedTwice,
    /// An instruction reads or writes it as data.
    UsedAsData(u64),
    /// An instruction or a word of data refers to an address inside it.
    PointedInto(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached => f.write_str("nothing leads here, and no function symbol covers it"),
            Self::Mixed => f.write_str("the bytes around it are not all instructions"),
            Self::Overlapped => f.write_str("another instruction shares bytes with it"),
            Self::LoadedTwice => f.write_str("its bytes are loaded at two addresses"),
            Self::UsedAsData(by) => write!(f, "the instruction at {by:#x} uses it as data"),
            Self::PointedInto(by) => write!(f, "{by:#x} refers to an address inside it"),
        }
    }
}

/// Sweeps every gap. What is code by its function's symbol is marked so; the
/// silent instructions of other gaps are doubts.
pub fn sweep(code: &mut Code<'_>) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for region in 0..code.marks.len() {
        for gap in code.marks[region].gaps() {
            for (start, end) in pieces(code, region, gap) {
                doubts.extend(piece(code, region, start, end));
            }
        }
    }
    doubts
}

/// Cuts a gap where symbols begin and functions end: what lies behind a
/// function is padding most often.
fn pieces(code: &Code<'_>, region: usize, (start, end): (usize, usize)) -> Vec<(usize, usize)> {
    let base = code.layout.regions[region].start;
    let symbols = &code.layout.symbols;
    let first = symbols.partition_point(|symbol| symbol.address <= base + start as u64);
    let mut cuts: Vec<usize> = symbols[first.saturating_sub(NESTED)..]
        .iter()
        .take_while(|symbol| symbol.address < base + end as u64)
        .flat_map(|symbol| [symbol.address, symbol.address.saturating_add(symbol.size)])
        .filter_map(|address| usize::try_from(address.checked_sub(base)?).ok())
        .filter(|cut| (start + 1..end).contains(cut))
        .collect();
    cuts.extend([start, end]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn piece(code: &mut Code<'_>, region: usize, start: usize, end: usize) -> Vec<Doubt> {
    let base = code.layout.regions[region].start;
    let bytes = &code.layout.regions[region].bytes[start..end];
    if bytes.iter().all(|byte| *byte == 0) {
        return Vec::new();
    }
    let (found, tiles) = decode_run(code, base + start as u64, base + end as u64);
    let in_function = in_function(code, base + start as u64, base + end as u64);
    if tiles && in_function {
        for instruction in &found {
            let index = (instruction.ip() - base) as usize;
            code.marks[region].instruction(index, instruction.len());
        }
        return Vec::new();
    }
    let reason = if tiles { Reason::Unreached } else { Reason::Mixed };
    let mut doubts = Vec::new();
    for instruction in &found {
        code.marks[region].add((instruction.ip() - base) as usize, 1, PERHAPS);
        if Nature::of(instruction).is_silent() {
            let address = instruction.ip();
            doubts.push(Doubt { address, reason });
        }
    }
    doubts
}

/// The instructions from `start` on, taking up again at the next byte after
/// one that begins none, and whether they tile the range.
fn decode_run(code: &Code<'_>, start: u64, end: u64) -> (Vec<Instruction>, bool) {
    let (mut found, mut tiles, mut address) = (Vec::new(), true, start);
    while address < end {
        match code.decode(address, 64) {
            Some(instruction) => {
                address = instruction.next_ip();
                tiles &= address <= end;
                found.push(instruction);
            }
            None => {
                tiles = false;
                address += 1;
            }
        }
    }
    (found, tiles)
}

/// Whether one function symbol covers all of the range.
fn in_function(code: &Code<'_>, start: u64, end: u64) -> bool {
    let symbols = &code.layout.symbols;
    let after = symbols.partition_point(|symbol| symbol.address <= start);
    symbols[..after]
        .iter()
        .rev()
        .filter(|symbol| symbol.kind == Kind::Function && symbol.size > 0)
        .take(NESTED)
        .any(|symbol| symbol.address.saturating_add(symbol.size) >= end)
}

/// How many function symbols before an address are looked at: aliases of one
/// function, or functions inside others.
const NESTED: usize = 16;
