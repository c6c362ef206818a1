//! Addresses of a crashed process, as functions and source lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use crate::output::record::Crash;

/// Where the ELF files of the programs are, by program name.
pub type Programs = BTreeMap<String, PathBuf>;

/// The text for people about a crash: one line for the place and one for each
/// caller, as precise as the programs' debug information allows.
pub fn describe(crash: &Crash, programs: &Programs) -> Vec<String> {
    let loader = programs
        .get(crash.program())
        .and_then(|path| Loader::new(path).ok());
    let place = |address: u64, probe: u64| match &loader {
        Some(loader) => frames(loader, address, probe),
        None => vec![format!("{address:#x}")],
    };
    let mut lines = vec![format!("{} crashed: {}", crash.process, crash.fault)];
    lines.extend(
        place(crash.ip, crash.ip)
            .into_iter()
            .map(|frame| format!("  at {frame}")),
    );
    for address in &crash.backtrace {
        // A return address is that of the instruction behind the call, which
        // may belong to another line.
        let frames = place(*address, address.saturating_sub(1));
        lines.extend(frames.into_iter().map(|frame| format!("  by {frame}")));
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
            let name = function
                .demangle()
                .map_or_else(|_| "?".into(), |name| name.into_owned());
            let place = frame
                .location
                .and_then(|place| Some((place.file?, place.line?)));
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
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::to_str)
        .unwrap_or("");
    let file = file
        .strip_prefix(repository)
        .map_or(file, |rest| rest.trim_start_matches('/'));
    ["/registry/src/", "/library/"]
        .iter()
        .find_map(|mark| file.find(mark).map(|at| &file[at + 1..]))
        .unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(process: &str) -> Crash {
        Crash {
            process: process.into(),
            guest: None,
            fault: "VM fault".into(),
            ip: 0x40_0010,
            backtrace: vec![0x40_0020],
        }
    }

    #[test]
    fn unknown_programs_show_addresses() {
        let lines = describe(&crash("vmm/web"), &Programs::new());
        assert_eq!(
            lines,
            [
                "vmm/web crashed: VM fault",
                "  at 0x400010",
                "  by 0x400020"
            ]
        );
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
                symbol
                    .name()
                    .is_ok_and(|name| name.contains("a_function_of_this_very_program"))
            })
            .unwrap();
        let found = frames(&loader, symbol.address(), symbol.address());
        assert!(
            found
                .iter()
                .any(|frame| frame.contains("a_function_of_this_very_program")),
            "{found:?}"
        );
    }

    #[test]
    fn paths_lose_what_differs_between_machines() {
        assert_eq!(
            short("/root/.cargo/registry/src/x/heapless/lib.rs"),
            "registry/src/x/heapless/lib.rs"
        );
        assert_eq!(
            short("/rustc/abc/library/core/src/panic.rs"),
            "library/core/src/panic.rs"
        );
        assert_eq!(
            short(&format!("{}/src/main.rs", env!("CARGO_MANIFEST_DIR"))),
            "umbriel/src/main.rs"
        );
    }
}
