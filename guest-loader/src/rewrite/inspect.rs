//! Every privileged or sensitive instruction of an image, and its fate.

use std::fmt;

use iced_x86::{Formatter, Instruction, IntelFormatter};

use super::means::{KernelSupport, Means};
use super::plan::{Plan, bytes_of};
use super::{Problem, entry};
use crate::code::{Code, Nature, Reason};
use crate::detect::{detect, refuse};
use crate::elf::Elf;
use crate::{Image, Refusal};

/// What becomes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays and traps; `known` if the side table names it, so that nothing
    /// is fetched or decoded then.
    Traps {
        /// How.
        nature: Nature,
        /// Whether it is in the side table.
        known: bool,
    },
    /// Something else stands there.
    Rewritten(Means),
    /// It runs on the real processor; what it shows or does, in words.
    Native(&'static str),
    /// It cannot be told whether it is one: the image is refused.
    Doubt(Reason),
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traps { nature, known } => {
                f.write_str(match nature {
                    Nature::Undefined => "raises #UD",
                    Nature::SystemCall => "traps as a system call",
                    Nature::Exception => "raises its exception",
                    _ => "traps, #GP",
                })?;
                f.write_str(if *known { ", known by address" } else { "" })
            }
            Self::Rewritten(means) => write!(f, "rewritten to {}", means.name()),
            Self::Native(what) => write!(f, "runs natively: {what}"),
            Self::Doubt(reason) => write!(f, "in doubt: {reason}"),
        }
    }
}

impl Fate {
    /// One word, for programs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Traps { .. } => "traps",
            Self::Rewritten(_) => "rewritten",
            Self::Native(_) => "native",
            Self::Doubt(_) => "doubt",
        }
    }
}

/// A privileged or sensitive instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its virtual address.
    pub address: u64,
    /// The symbol it lies in, as the file has it, and how far behind its start.
    pub symbol: Option<(String, u64)>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its text, in the manual's syntax.
    pub text: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What an image holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The platform that was found in it.
    pub platform: system::compiled::Platform,
    /// By ascending address.
    pub findings: Vec<Finding>,
}

impl Inspection {
    /// Whether rewriting would refuse the image.
    pub fn in_doubt(&self) -> bool {
        let doubt = |finding: &Finding| matches!(finding.fate, Fate::Doubt(_));
        self.findings.iter().any(doubt)
    }
}

/// Lists the privileged and sensitive instructions of `image`.
///
/// # Errors
/// A [`Refusal`] if the file is no image.
pub fn inspect(image: &Image<'_>, kernel: KernelSupport) -> Result<Inspection, Refusal> {
    let platform = detect(image)?;
    let findings = findings(image.bytes, platform, kernel);
    let findings = findings.map_err(|problem| refuse(image, problem))?;
    Ok(Inspection { platform, findings })
}

fn findings(
    bytes: &[u8],
    platform: system::compiled::Platform,
    kernel: KernelSupport,
) -> Result<Vec<Finding>, Problem> {
    let elf = Elf::parse(bytes)?;
    let code = Code::read(bytes, &elf, entry::address(&elf, platform))?;
    let plan = Plan::new(&code, &elf, kernel);
    let certain = code.instructions().map(|instruction| (instruction, true));
    let uncertain = code.uncertain().map(|instruction| (instruction, false));
    let mut findings: Vec<_> = certain
        .chain(uncertain)
        .filter_map(|(instruction, certain)| {
            let fate = fate(&instruction, certain, &plan)?;
            Some(describe(&code, &instruction, fate))
        })
        .collect();
    findings.sort_by_key(|finding| finding.address);
    Ok(findings)
}

fn fate(instruction: &Instruction, certain: bool, plan: &Plan) -> Option<Fate> {
    let address = instruction.ip();
    let doubt = plan.doubts.iter().find(|doubt| doubt.address == address);
    if let Some(doubt) = doubt {
        return Some(Fate::Doubt(doubt.reason));
    }
    let step = plan
        .steps
        .binary_search_by_key(&address, |step| step.address)
        .ok()
        .filter(|_| certain)
        .map(|index| plan.steps[index].means);
    Some(match (Nature::of(instruction), step) {
        (Nature::Plain, _) => return None,
        (_, Some(means)) if means != Means::Itself => Fate::Rewritten(means),
        (Nature::Silent(what) | Nature::Harmless(what), _) => Fate::Native(what),
        (nature, step) => Fate::Traps { nature, known: step.is_some() },
    })
}

/// The finding for `instruction`.
pub fn describe(code: &Code<'_>, instruction: &Instruction, fate: Fate) -> Finding {
    let symbol = code.layout().symbol_of(instruction.ip());
    Finding {
        address: instruction.ip(),
        symbol: symbol.map(|(symbol, offset)| (symbol.name.clone(), offset)),
        bytes: bytes_of(code, instruction),
        text: text(instruction),
        fate,
    }
}

/// The instruction as the manual writes it.
pub fn text(instruction: &Instruction) -> String {
    let (mut formatter, mut text) = (IntelFormatter::new(), String::new());
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_rip_relative_addresses(true);
    formatter.format(instruction, &mut text);
    text
}
