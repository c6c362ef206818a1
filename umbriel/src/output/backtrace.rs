//! Addresses of a crashed process, as functions and source lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use crate::output::record::Backtrace;

/// Where the ELF files of the programs are, by program name.
pub type Programs = BTreeMap<String, PathBuf>;

/// No process has code in the first page; functions that the linker left out
/// keep their debug information at address 0.
const FIRST_CODE: u64 = 4096;

/// The text for people about a crash: one line for the place and one for each
/// caller, as precise as the programs' debug information allows.
pub fn describe(backtrace: &Backtrace, programs: &Programs) -> Vec<String> {
    let program = programs.get(backtrace.program());
    let loader = program.and_then(|path| Loader::new(path).ok());
    let mut lines = vec![format!("backtrace of {}:", backtrace.process)];
    for (index, address) in backtrace.addresses.iter().copied().enumerate() {
        // A return address is that of the instruction behind the call, which
        // may belong to another line.
        let (word, probe) =
            if index == 0 { ("at", address) } else { ("by", address.saturating_sub(1)) };
        let frames = match &loader {
            Some(loader) if address >= FIRST_CODE => frames(loader, address, probe),
            _ => vec![format!("{address:#x}")],
        };
        lines.extend(frames.into_iter().map(|frame| format!("  {word} {frame}")));
    }
    lines
}

/// The function at `probe`, and those it was inlined into.
fn frames(loader: &Loader, address: u64, probe: u64) -> Vec<String> {
    let mut lines = Vec::new();
    if let Ok(mut frames) = loader.find_frames(probe) {
        while let Ok(Some(frame)) = frames.next() {
            let Some(function) = frame.function else {
                continue;
            };
            let name = function.demangle().map_or_else(|_| "?".into(), |name| name.into_owned());
            let place = frame.location.and_then(|place| Some((place.file?, place.line?)));
            lines.push(match place {
                Some((file, line)) => format!("{name}, {}:{line}", short(file)),
                None => name,
            });
        }
    }
    if lines.is_empty()
        && let Some(symbol) = loader.find_symbol(probe)
    {
        lines.push(addr2line::demangle_auto(symbol.into(), None).into_owned());
    }
    if lines.is_empty() {
        lines.push("?".to_owned());
    }
    lines[0] = format!("{address:#x} {}", lines[0]);
    lines
}

/// A source path without the directories that differ between machines.
fn short(file: &str) -> &str {
    let repository =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::to_str).unwrap_or("");
    let file = file.strip_prefix(repository).map_or(file, |rest| rest.trim_start_matches('/'));
    ["/registry/src/", "/library/"]
        .iter()
        .find_map(|mark| file.find(mark).map(|at| &file[at + 1..]))
        .unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_programs_show_addresses() {
        let backtrace =
            Backtrace { process: "vmm/web".into(), addresses: vec![0x40_0010, 0x40_0020] };
        let lines = describe(&backtrace, &Programs::new());
        assert_eq!(lines, ["backtrace of vmm/web:", "  at 0x400010", "  by 0x400020"]);
    }

    #[test]
    fn a_function_of_this_very_program_is_found() {
        // The test program itself is an ELF file with debug information.
        let path = std::env::current_exe().unwrap();
        let loader = Loader::new(&path).unwrap();
        let data = std::fs::read(&path).unwrap();
        let file = object::File::parse(&*data).unwrap();
        use object::{Object, ObjectSymbol};
        let symbol = file
            .symbols()
            .find(|symbol| {
                symbol.name().is_ok_and(|name| name.contains("a_function_of_this_very_program"))
            })
            .unwrap();
        let found = frames(&loader, symbol.address(), symbol.address());
        assert!(
            found.iter().any(|frame| frame.contains("a_function_of_this_very_program")),
            "{found:?}"
        );
    }

    #[test]
    fn paths_lose_what_differs_between_machines() {
        assert_eq!(
            short("/root/.cargo/registry/src/x/heapless/lib.rs"),
            "registry/src/x/heapless/lib.rs"
        );
        assert_eq!(short("/rustc/abc/library/core/src/panic.rs"), "library/core/src/panic.rs");
        assert_eq!(
            short(&format!("{}/src/main.rs", env!("CARGO_MANIFEST_DIR"))),
            "umbriel/src/main.rs"
        );
    }
}
