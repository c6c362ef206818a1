//! What is to be done with each instruction of an image.

use std::ops::Range;

use iced_x86::Instruction;
use system::compiled::{MAX_INSTRUCTION, Platform, Rewrite};

use super::entry;
use super::means::{KernelSupport, Means};
use crate::code::{Code, Doubt, Nature, Reason, Uses};
use crate::elf::Elf;

/// An instruction that reaches the virtual CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its virtual address.
    pub address: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What stands there from now on.
    pub means: Means,
}

impl Step {
    /// Where its bytes lie in the file.
    pub fn file_range(&self, elf: &Elf<'_>) -> Option<Range<usize>> {
        elf.loads().find_map(|segment| {
            let offset = self.address.checked_sub(segment.virtual_address)?;
            let start = usize::try_from(segment.file_offset + offset).ok()?;
            let inside = offset + self.bytes.len() as u64 <= segment.content.len() as u64;
            inside.then(|| start..start + self.bytes.len())
        })
    }
}

/// All of them, by ascending address, and what stands in the way.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is done.
    pub steps: Vec<Step>,
    /// Silent instructions that cannot be rewritten.
    pub doubts: Vec<Doubt>,
}

impl Plan {
    /// The plan for `code`, of the image `elf`.
    pub fn new(code: &Code<'_>, elf: &Elf<'_>, kernel: KernelSupport) -> Self {
        let uses = Uses::of(code, elf);
        let mut plan = Self { steps: Vec::new(), doubts: code.doubts().to_vec() };
        for instruction in code.instructions() {
            let Some(means) = Means::of(&instruction, kernel) else {
                continue;
            };
            let step =
                Step { address: instruction.ip(), bytes: bytes_of(code, &instruction), means };
            // What the virtual CPU does not know, it cannot execute either.
            let known = vcpu::decode(&step.bytes)
                .is_ok_and(|decoded| usize::from(decoded.length) == step.bytes.len());
            if known {
                plan.add(step, &instruction, code, elf, &uses);
            }
        }
        plan.doubts.sort_by_key(|doubt| doubt.address);
        plan
    }

    /// Adds `step` if nothing else uses its bytes. If something does, what
    /// traps by itself may stay as it is; what does not is in doubt.
    fn add(
        &mut self,
        mut step: Step,
        instruction: &Instruction,
        code: &Code<'_>,
        elf: &Elf<'_>,
        uses: &Uses,
    ) {
        if step.means != Means::Itself
            && let Some(reason) = obstacle(&step, instruction, code, elf, uses)
        {
            if Nature::of(instruction).is_silent() {
                let address = step.address;
                self.doubts.push(Doubt { address, reason });
                return;
            }
            step.means = Means::Itself;
        }
        self.steps.push(step);
    }

    /// The side table.
    pub fn table(&self, elf: &Elf<'_>, platform: Platform) -> Vec<Rewrite> {
        let mut table: Vec<_> = self
            .steps
            .iter()
            .flat_map(|step| {
                let alias = entry::alias(elf, platform, step.address);
                [Some(step.address), alias]
                    .into_iter()
                    .flatten()
                    .map(|rip| table_entry(rip, &step.bytes))
            })
            .collect();
        table.sort_by_key(|entry| entry.rip);
        table.dedup_by_key(|entry| entry.rip);
        table
    }
}

fn table_entry(rip: u64, instruction: &[u8]) -> Rewrite {
    let mut bytes = [0; MAX_INSTRUCTION];
    bytes[..instruction.len()].copy_from_slice(instruction);
    Rewrite { rip, length: instruction.len() as u8, bytes }
}

/// Another use of the step's bytes.
fn obstacle(
    step: &Step,
    instruction: &Instruction,
    code: &Code<'_>,
    elf: &Elf<'_>,
    uses: &Uses,
) -> Option<Reason> {
    if code.is_shared(instruction) {
        return Some(Reason::Overlapped);
    }
    let range = step.file_range(elf)?;
    let loaded = elf.loads().filter(|segment| {
        let start = segment.file_offset as usize;
        start < range.end && range.start < start + segment.content.len()
    });
    if loaded.count() > 1 {
        return Some(Reason::LoadedTwice);
    }
    uses.against(step.address, step.address + step.bytes.len() as u64)
}

/// The bytes of `instruction`.
pub fn bytes_of(code: &Code<'_>, instruction: &Instruction) -> Vec<u8> {
    let layout = code.layout();
    let bytes = layout.region_of(instruction.ip()).and_then(|index| {
        let region = &layout.regions[index];
        let start = region.index(instruction.ip())?;
        region.bytes.get(start..start + instruction.len())
    });
    bytes.unwrap_or(&[]).to_vec()
}

impl Plan {
    /// The doubts for people: address, symbol, text and reason of each.
    pub fn describe_doubts(&self, code: &Code<'_>) -> Vec<String> {
        self.doubts
            .iter()
            .map(|doubt| {
                let text = code
                    .instruction_at(doubt.address)
                    .map_or_else(String::new, |instruction| super::inspect::text(&instruction));
                let symbol = match code.layout().symbol_of(doubt.address) {
                    Some((symbol, offset)) => format!(" in {}+{offset:#x}", symbol.name),
                    None => String::new(),
                };
                format!("`{text}` at {:#x}{symbol} ({})", doubt.address, doubt.reason)
            })
            .collect()
    }
}
