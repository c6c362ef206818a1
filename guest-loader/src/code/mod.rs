//! Where the code of an image is, and which of its instructions matter.
//!
//! ```text
//! sections, symbols ──► descent (entry, functions, then labels) ──► sweep of the gaps
//!                                                                    │
//!                            instructions, each once ◄───────────────┴──► doubts
//! ```
//!
//! Code and data cannot be told apart in general. What is certain here is what
//! control flow reaches from the entry point and from function symbols, and
//! what tiles the rest of a function. A sensitive instruction found anywhere
//! else, or whose bytes have a second use, is a [`Doubt`]: the caller refuses.
//!
//! Invariants: images are untrusted; every byte is decoded a bounded number of
//! times, and nothing panics.

mod descent;
mod gaps;
mod marks;
mod sections;
mod sensitive;
mod uses;

use iced_x86::{Decoder, DecoderOptions, Instruction};

pub use gaps::{Doubt, Reason};
pub use sections::{Kind, Layout};
pub use sensitive::{FIRST_TRAP, Nature};
pub use uses::Uses;

use crate::Problem;
use crate::elf::Elf;
use crate::note::notes;
use marks::{DATA, Marks, PERHAPS, START};

/// Type of the note whose descriptor is the address of a 32-bit entry point,
/// for loaders that start guests by PVH (Xen, `public/elfnote.h`).
const PHYS32_ENTRY: u32 = 18;

/// An image taken apart into instructions.
#[derive(Clone, Debug)]
pub struct Code<'a> {
    layout: Layout<'a>,
    /// For each region.
    marks: Vec<Marks>,
    doubts: Vec<Doubt>,
}

impl<'a> Code<'a> {
    /// Takes apart the image that `elf` was parsed from; `entry` is the
    /// virtual address of its first instruction.
    ///
    /// # Errors
    /// Those of [`Layout::read`].
    pub fn read(bytes: &'a [u8], elf: &Elf<'a>, entry: u64) -> Result<Self, Problem> {
        let layout = Layout::read(bytes, elf)?;
        let marks = layout.regions.iter().map(|region| Marks::new(region.bytes.len())).collect();
        let mut code = Self { layout, marks, doubts: Vec::new() };
        code.mark_objects();
        for root in code.roots(Kind::Function).chain([entry]).collect::<Vec<_>>() {
            descent::follow(&mut code, root);
        }
        let mut labels: Vec<_> = code.roots(Kind::Label).collect();
        for root in entries_32(elf) {
            labels.extend(descent::follow_32(&mut code, root));
        }
        // From the last one on: what a label runs into is known by then.
        labels.sort_unstable();
        for root in labels.into_iter().rev() {
            descent::try_label(&mut code, root);
        }
        code.doubts = gaps::sweep(&mut code);
        Ok(code)
    }

    /// Regions and symbols.
    pub fn layout(&self) -> &Layout<'a> {
        &self.layout
    }

    /// Silent instructions, or bytes that look like one, outside of what is
    /// certainly code.
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Every instruction of what is certainly code, in ascending order.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction> + '_ {
        self.marked(START)
    }

    /// Instructions of what may be code or data.
    pub fn uncertain(&self) -> impl Iterator<Item = Instruction> + '_ {
        self.marked(PERHAPS)
    }

    /// The instruction that the bytes at `address` make, if they make one.
    pub fn instruction_at(&self, address: u64) -> Option<Instruction> {
        self.decode(address, 64)
    }

    /// Whether `instruction` shares bytes with another one.
    pub fn is_shared(&self, instruction: &Instruction) -> bool {
        self.locate(instruction.ip())
            .is_none_or(|(region, index)| self.marks[region].is_shared(index, instruction.len()))
    }

    fn marked(&self, mark: u8) -> impl Iterator<Item = Instruction> + '_ {
        let regions = self.layout.regions.iter().zip(&self.marks);
        regions.flat_map(move |(region, marks)| {
            marks.starts(mark).filter_map(|index| self.decode(region.start + index as u64, 64))
        })
    }

    fn roots(&self, kind: Kind) -> impl Iterator<Item = u64> + '_ {
        self.layout
            .symbols
            .iter()
            .filter(move |symbol| symbol.kind == kind)
            .map(|symbol| symbol.address)
    }

    fn mark_objects(&mut self) {
        for symbol in &self.layout.symbols {
            if symbol.kind == Kind::Object
                && let Some((region, index)) = self.locate(symbol.address)
            {
                let length = usize::try_from(symbol.size).unwrap_or(usize::MAX);
                self.marks[region].add(index, length, DATA);
            }
        }
    }

    fn locate(&self, address: u64) -> Option<(usize, usize)> {
        let region = self.layout.region_of(address)?;
        Some((region, self.layout.regions[region].index(address)?))
    }

    /// The instruction at `address`, if there is one.
    fn decode(&self, address: u64, bits: u32) -> Option<Instruction> {
        let (region, index) = self.locate(address)?;
        let bytes = &self.layout.regions[region].bytes[index..];
        let instruction = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode();
        (!instruction.is_invalid()).then_some(instruction)
    }
}

/// Entry points for loaders that start guests in 32-bit mode.
fn entries_32(elf: &Elf<'_>) -> Vec<u64> {
    notes(elf)
        .filter(|note| note.name == b"Xen" && note.kind == PHYS32_ENTRY)
        .filter_map(|note| {
            let address = note.descriptor?.first_chunk::<4>()?;
            Some(u64::from(u32::from_le_bytes(*address)))
        })
        .collect()
}
