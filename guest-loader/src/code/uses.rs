//! Other uses of bytes that hold instructions: read as data, or pointed into.

use iced_x86::{Code as IcedCode, FlowControl, Instruction, Mnemonic, Register};

use super::descent::target;
use super::{Code, Reason};
use crate::elf::Elf;

/// What the image's instructions and data refer to by fixed address.
#[derive(Clone, Debug)]
pub struct Uses {
    /// Ranges accessed as data, by start: `(start, end, by)`.
    data: Vec<(u64, u64, u64)>,
    /// The longest of them.
    longest: u64,
    /// Addresses that are branched to, taken, or stored: `(address, by)`.
    points: Vec<(u64, u64)>,
}

impl Uses {
    /// Collects them from the instructions of `code` and the aligned words of
    /// what `elf` loads.
    pub fn of(code: &Code<'_>, elf: &Elf<'_>) -> Self {
        let (mut data, mut points) = (Vec::new(), Vec::new());
        for instruction in code.instructions() {
            let by = instruction.ip();
            points.extend(target(&instruction).map(|to| (to, by)));
            let inside = |address: &u64| code.layout().region_of(*address).is_some();
            let Some(address) = fixed_address(&instruction).filter(inside) else {
                continue;
            };
            if is_address_only(&instruction) {
                points.push((address, by));
            } else {
                let size = (instruction.memory_size().size() as u64).max(1);
                data.push((address, address.saturating_add(size), by));
            }
        }
        for segment in elf.loads() {
            for (index, word) in segment.content.chunks_exact(8).enumerate() {
                let value = u64::from_le_bytes(word.try_into().unwrap_or_default());
                if code.layout().region_of(value).is_some() {
                    points.push((value, segment.virtual_address + 8 * index as u64));
                }
            }
        }
        data.sort_unstable();
        points.sort_unstable();
        let longest = data.iter().map(|(start, end, _)| end - start).max();
        Self { longest: longest.unwrap_or(0), data, points }
    }

    /// A use of the bytes `[start, end)` that is not execution from `start` on.
    pub fn against(&self, start: u64, end: u64) -> Option<Reason> {
        let first = start.saturating_sub(self.longest);
        let from = self.data.partition_point(|(at, _, _)| *at < first);
        let accessed = self.data[from..]
            .iter()
            .take_while(|(at, _, _)| *at < end)
            .find(|(_, behind, _)| *behind > start);
        if let Some((_, _, by)) = accessed {
            return Some(Reason::UsedAsData(*by));
        }
        let from = self.points.partition_point(|(at, _)| *at <= start);
        let (at, by) = *self.points.get(from)?;
        (at < end).then_some(Reason::PointedInto(by))
    }
}

/// The address of a memory operand that no register takes part in.
fn fixed_address(instruction: &Instruction) -> Option<u64> {
    if instruction.is_ip_rel_memory_operand() {
        return Some(instruction.ip_rel_memory_address());
    }
    let has_memory = (0..instruction.op_count())
        .any(|operand| instruction.op_kind(operand) == iced_x86::OpKind::Memory);
    let plain = instruction.memory_base() == Register::None
        && instruction.memory_index() == Register::None
        && !matches!(instruction.memory_segment(), Register::FS | Register::GS);
    (has_memory && plain).then(|| instruction.memory_displacement64())
}

/// LEA takes the address, and hints, NOPs and INVLPG access nothing.
fn is_address_only(instruction: &Instruction) -> bool {
    matches!(
        instruction.mnemonic(),
        Mnemonic::Lea | Mnemonic::Nop | Mnemonic::Invlpg | Mnemonic::Clflush
    ) || instruction.code() == IcedCode::Invlpg_m
        || instruction.flow_control() == FlowControl::XbeginXabortXend
}
