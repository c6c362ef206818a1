//! Checks a rewritten image against its original, without trusting the plan's
//! author: this is the last line before a guest with a wrong byte is booted.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use super::means::Means;
use super::plan::Plan;
use crate::Problem;
use crate::code::{Code, FIRST_TRAP, Nature};
use crate::elf::Elf;

/// Checks the invariants of [the module](super).
///
/// # Errors
/// [`Problem::RewriteBroken`], a defect of ours, with the address.
pub fn verify(
    original: &[u8],
    rewritten: &[u8],
    code: &Code<'_>,
    plan: &Plan,
) -> Result<(), Problem> {
    let elf = Elf::parse(rewritten)?;
    restores(original, rewritten, &elf, plan)?;
    decodes(&elf, code, plan)
}

fn broken(address: u64, rule: &'static str) -> Problem {
    Problem::RewriteBroken { address, rule }
}

/// The rewritten file with the table's bytes put back is the original.
fn restores(original: &[u8], rewritten: &[u8], elf: &Elf<'_>, plan: &Plan) -> Result<(), Problem> {
    let mut restored = rewritten.to_vec();
    for step in &plan.steps {
        let place = step
            .file_range(elf)
            .and_then(|range| restored.get_mut(range))
            .ok_or(broken(step.address, "every entry lies in the file"))?;
        place.copy_from_slice(&step.bytes);
    }
    if restored == original {
        Ok(())
    } else {
        Err(broken(0, "the image and its side table make the original"))
    }
}

/// Decodes everything again.
fn decodes(elf: &Elf<'_>, code: &Code<'_>, plan: &Plan) -> Result<(), Problem> {
    let mut steps = plan.steps.iter().peekable();
    for before in code.instructions() {
        let address = before.ip();
        let bytes = at(elf, address, before.len())
            .ok_or(broken(address, "every instruction lies in the image"))?;
        let now = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode();
        match steps.next_if(|step| step.address == address) {
            Some(step) => {
                let traps = match step.means {
                    Means::Itself => now == before,
                    Means::Halt => now.mnemonic() == Mnemonic::Hlt,
                    Means::Interrupt => {
                        now.mnemonic() == Mnemonic::Int && now.immediate8() == FIRST_TRAP
                    }
                    Means::Undefined => now.mnemonic() == Mnemonic::Ud2,
                };
                if !traps || step.bytes.len() != before.len() {
                    return Err(broken(address, "an entry's instruction traps"));
                }
            }
            None if now != before => {
                return Err(broken(address, "only entries of the table are changed"));
            }
            None => {}
        }
        if Nature::of(&now).is_silent() && vcpu::decode(bytes).is_ok() {
            return Err(broken(address, "no silent instruction is left"));
        }
    }
    match steps.next() {
        Some(step) => Err(broken(step.address, "every entry is an instruction")),
        None => Ok(()),
    }
}

fn at<'a>(elf: &Elf<'a>, address: u64, length: usize) -> Option<&'a [u8]> {
    elf.loads().find_map(|segment| {
        let offset = usize::try_from(address.checked_sub(segment.virtual_address)?).ok()?;
        segment.content.get(offset..offset.checked_add(length)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::KernelSupport;
    use crate::testing::{ElfWriter, FUNCTION};

    const BASE: u64 = 0x20_0000;
    /// `mov ds, ax; mov cr3, rax; ret`
    const CODE: [u8; 6] = [0x8e, 0xd8, 0x0f, 0x22, 0xd8, 0xc3];
    /// The same after rewriting.
    const GOOD: [u8; 6] = [0xcd, 0x9e, 0xcd, 0x9e, 0xcc, 0xc3];

    fn image(code: &[u8]) -> Vec<u8> {
        ElfWriter::new(BASE)
            .load(5, BASE, code, code.len() as u64)
            .symbol(FUNCTION, BASE, code.len() as u64)
            .bytes()
    }

    /// The rule that `rewritten` breaks under a plan that `change` was made to.
    fn rule(rewritten: &[u8], change: impl FnOnce(&mut Plan)) -> Option<&'static str> {
        let original = image(&CODE);
        let elf = Elf::parse(&original).unwrap();
        let code = Code::read(&original, &elf, BASE).unwrap();
        let mut plan = Plan::new(&code, &elf, KernelSupport::ExactSyscall);
        change(&mut plan);
        match verify(&original, &image(rewritten), &code, &plan) {
            Ok(()) => None,
            Err(Problem::RewriteBroken { rule, .. }) => Some(rule),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_broken_rule_is_found() {
        let mut left = GOOD;
        left[..2].copy_from_slice(&CODE[..2]);
        let mut changed = GOOD;
        changed[5] = 0x90;
        let restored = Some("the image and its side table make the original");
        assert_eq!(rule(&GOOD, |_| {}), None);
        assert_eq!(rule(&changed, |_| {}), restored);
        assert_eq!(rule(&left, |_| {}), Some("an entry's instruction traps"));
        assert_eq!(
            rule(&left, |plan| drop(plan.steps.remove(0))),
            Some("no silent instruction is left")
        );
        assert_eq!(
            rule(&GOOD, |plan| plan.steps[0].address = BASE - 1),
            Some("every entry lies in the file")
        );
        assert_eq!(
            rule(&GOOD, |plan| plan.steps[1].means = Means::Halt),
            Some("an entry's instruction traps")
        );
    }
}
