//! `cargo umbriel inspect`.

use std::fs;

use addr2line::demangle_auto;
use guest_loader::{Finding, Image, Inspection, KernelSupport, inspect};
use serde_json::{Value, json};

use crate::cli::InspectArgs;
use crate::error::{Error, Result};
use crate::output::escape::Escaper;
use crate::output::text;

/// Runs the command. The exit status is 1 if rewriting would refuse the image.
///
/// # Errors
/// If the file cannot be read or is no image.
pub fn execute(args: &InspectArgs) -> Result<u8> {
    let bytes = fs::read(&args.image).map_err(Error::io("read", &args.image))?;
    let name = args.image.display().to_string();
    let image = Image { name: &name, bytes: &bytes };
    let kernel = if args.plain_kernel { KernelSupport::Plain } else { KernelSupport::ExactSyscall };
    let inspection = inspect(&image, kernel)?;
    let output = if args.json {
        serde_json::to_string_pretty(&record(&name, &inspection))? + "\n"
    } else {
        table(&inspection)
    };
    text::print(&output)?;
    Ok(u8::from(inspection.in_doubt()))
}

fn record(name: &str, inspection: &Inspection) -> Value {
    let instruction = |finding: &Finding| {
        json!({
            "address": format!("{:#x}", finding.address),
            "symbol": symbol(finding),
            "bytes": hex(&finding.bytes),
            "instruction": finding.text,
            "fate": finding.fate.word(),
            "detail": finding.fate.to_string(),
        })
    };
    json!({
        "image": name,
        "platform": inspection.platform.name(),
        "can_be_rewritten": !inspection.in_doubt(),
        "instructions": inspection.findings.iter().map(instruction).collect::<Vec<_>>(),
    })
}

fn table(inspection: &Inspection) -> String {
    let mut lines = String::new();
    for finding in &inspection.findings {
        let symbol = symbol(finding).unwrap_or_default();
        lines += &format!(
            "{:#10x}  {:<28} {}{}{symbol}\n",
            finding.address,
            finding.text,
            finding.fate,
            if symbol.is_empty() { "" } else { "  in " },
        );
    }
    lines + &summary(inspection)
}

fn summary(inspection: &Inspection) -> String {
    let count = |word: &str| {
        let fates = inspection.findings.iter().map(|finding| finding.fate.word());
        fates.filter(|fate| *fate == word).count()
    };
    let verdict = match count("doubt") {
        0 => String::new(),
        doubts => format!(", {doubts} in doubt, so that the image cannot be rewritten"),
    };
    format!(
        "{}: {} trap, {} are rewritten, {} run natively{verdict}\n",
        inspection.platform.name(),
        count("traps"),
        count("rewritten"),
        count("native"),
    )
}

fn symbol(finding: &Finding) -> Option<String> {
    let (name, offset) = finding.symbol.as_ref()?;
    let mut escaper = Escaper::default();
    let name = escaper.push(demangle_auto(name.into(), None).as_bytes());
    Some(format!("{name}{}+{offset:#x}", escaper.end_line()))
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_loader::{Fate, Means, Platform};

    fn inspection() -> Inspection {
        let finding = |address, text: &str, fate| Finding {
            address,
            symbol: Some(("_ZN5hello4main17h0123456789abcdefE".to_owned(), 4)),
            bytes: vec![0x0f, 0xa2],
            text: text.to_owned(),
            fate,
        };
        Inspection {
            platform: Platform::Pc64,
            findings: vec![
                finding(0x20_0000, "cpuid", Fate::Rewritten(Means::Interrupt)),
                finding(0x20_0010, "rdtsc", Fate::Native("the machine's time-stamp counter")),
            ],
        }
    }

    #[test]
    fn people_see_address_text_fate_and_symbol() {
        assert_eq!(
            table(&inspection()),
            "  0x200000  cpuid                        rewritten to int 0x9e  in hello::main+0x4\n  \
             0x200010  rdtsc                        runs natively: the machine's time-stamp counter  in hello::main+0x4\n\
             pc64: 0 trap, 1 are rewritten, 1 run natively\n"
        );
    }

    #[test]
    fn programs_see_the_same() {
        let record = record("a.elf", &inspection());
        assert_eq!(record["can_be_rewritten"], true);
        let first = &record["instructions"][0];
        assert_eq!(first["address"], "0x200000");
        assert_eq!((&first["bytes"], &first["fate"]), (&json!("0f a2"), &json!("rewritten")));
    }
}
