//! The programs that the tool needs, and how missing ones are installed.
//!
//! Nothing is installed without consent: `--yes`, `CI=true`, being root in a
//! container, or a yes at the terminal. Otherwise the answer is one line to
//! paste.

use std::collections::BTreeSet;
use std::env;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// A thing that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Program, Python module or Rust target.
    pub name: String,
    /// What it is for.
    pub why: String,
    /// What brings it.
    pub source: Source,
}

/// What brings a missing thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A Debian package.
    Debian(String),
    /// `rustup` with these arguments.
    Rustup(String),
}

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Build kernel, processes and guests.
    Build,
    /// Boot in QEMU.
    Boot,
    /// Make a CD image.
    Iso,
    /// Check format and lints.
    Lint,
    /// Fuzz.
    Fuzz,
}

/// A program, how it is probed, what for, and its Debian package.
type Program = (&'static str, &'static str, &'static str);

const BOOT: &[Program] = &[("qemu-system-x86_64", "boots the system", "qemu-system-x86")];
const ISO: &[Program] = &[
    ("grub-mkrescue", "makes the CD image", "grub-common"),
    ("xorriso", "writes the CD image", "xorriso"),
    ("mformat", "makes the CD image's EFI part", "mtools"),
];
const FUZZ: &[Program] = &[("g++", "compiles the fuzzer's runtime", "g++")];

/// The boot loader's modules, which no program answers for.
const GRUB_MODULES: &str = "/usr/lib/grub/i386-pc/multiboot.mod";

/// Everything that is missing for `needs`.
pub fn missing(needs: &[Need]) -> Vec<Missing> {
    let mut missing = Vec::new();
    for need in needs {
        match need {
            Need::Build => missing.extend(missing_for_build()),
            Need::Boot => missing.extend(missing_programs(BOOT)),
            Need::Iso => missing.extend(missing_for_iso()),
            Need::Lint => missing.extend(missing_components()),
            Need::Fuzz => missing.extend(missing_programs(FUZZ)),
        }
    }
    missing
}

fn missing_for_build() -> Vec<Missing> {
    let tools =
        kernel_build::missing_tools().into_iter().chain(guest_loader::solo5_build::missing_tools());
    let mut missing: Vec<Missing> = Vec::new();
    for tool in tools {
        if missing.iter().all(|known| known.name != tool.name) {
            missing.push(debian(tool.name, tool.why, tool.debian_package));
        }
    }
    if !has_bare_target() {
        missing.push(rustup(
            "x86_64-unknown-none",
            "the target of processes",
            "target add x86_64-unknown-none",
        ));
    }
    missing
}

fn missing_for_iso() -> Vec<Missing> {
    let mut missing = missing_programs(ISO);
    if !Path::new(GRUB_MODULES).exists() {
        missing.push(debian("grub's i386-pc modules", "boot from the CD image", "grub-pc-bin"));
    }
    missing
}

fn missing_components() -> Vec<Missing> {
    [("cargo-clippy", "clippy", "checks lints"), ("cargo-fmt", "rustfmt", "checks the format")]
        .into_iter()
        .filter(|(program, _, _)| !answers(program, "--version"))
        .map(|(program, component, why)| {
            rustup(program, why, &format!("component add {component}"))
        })
        .collect()
}

fn missing_programs(programs: &[Program]) -> Vec<Missing> {
    let absent = programs.iter().filter(|(name, _, _)| !answers(name, "--version"));
    absent.map(|(name, why, package)| debian(name, why, package)).collect()
}

fn debian(name: &str, why: &str, package: &str) -> Missing {
    Missing { name: name.into(), why: why.into(), source: Source::Debian(package.into()) }
}

fn rustup(name: &str, why: &str, arguments: &str) -> Missing {
    Missing { name: name.into(), why: why.into(), source: Source::Rustup(arguments.into()) }
}

fn has_bare_target() -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "x86_64-unknown-none"])
        .output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn answers(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// Sees to it that everything for `needs` is there.
///
/// # Errors
/// What is missing and how to get it, if consent was not given; or that
/// installing failed.
pub fn require(needs: &[Need], yes: bool) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let commands = commands(&missing, is_root());
    let list = describe(&missing, &commands);
    if !(yes || consent_given() || asked(&list)) {
        return Err(Error::new(list));
    }
    for command in &commands {
        eprintln!("umbriel: {command}");
        let status = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(Error::new(format!("this command failed:\n  {command}")));
        }
    }
    match self::missing(needs).first() {
        Some(missing) => {
            Err(Error::new(format!("{} is still missing after the installation", missing.name)))
        }
        None => Ok(()),
    }
}

/// The shell commands that bring what is missing.
fn commands(missing: &[Missing], root: bool) -> Vec<String> {
    let sources: BTreeSet<&Source> = missing.iter().map(|missing| &missing.source).collect();
    let mut packages = Vec::new();
    let mut commands = Vec::new();
    for source in sources {
        match source {
            Source::Debian(package) => packages.push(package.as_str()),
            Source::Rustup(arguments) => commands.push(format!("rustup {arguments}")),
        }
    }
    if !packages.is_empty() {
        let sudo = if root { "" } else { "sudo " };
        let packages = packages.join(" ");
        let install = format!("{sudo}apt-get install -y --no-install-recommends {packages}");
        commands.insert(0, format!("{sudo}apt-get update && {install}"));
    }
    commands
}

fn describe(missing: &[Missing], commands: &[String]) -> String {
    let width = missing.iter().map(|missing| missing.name.len()).max().unwrap_or(0);
    let lines =
        missing.iter().map(|missing| format!("  {:width$}  {}\n", missing.name, missing.why));
    format!(
        "these are missing:\n{}to install them:\n  {}",
        lines.collect::<String>(),
        commands.join(" && ")
    )
}

fn asked(list: &str) -> bool {
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return false;
    }
    eprint!("umbriel: {list}\nInstall now? [y/N] ");
    let _ = stderr().flush();
    let mut answer = String::new();
    stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn consent_given() -> bool {
    env::var("CI").is_ok_and(|value| value == "true") || (is_root() && in_container())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn in_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
    env::var_os("container").is_some() || marks.iter().any(|mark| Path::new(mark).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_brings_everything_once() {
        let missing = [
            debian("xorriso", "writes", "xorriso"),
            debian("six", "imported", "python3-six"),
            debian("libisoburn", "writes", "xorriso"),
            rustup("x86_64-unknown-none", "target", "target add x86_64-unknown-none"),
        ];
        let install = "apt-get install -y --no-install-recommends python3-six xorriso";
        assert_eq!(
            commands(&missing, true),
            [
                format!("apt-get update && {install}"),
                "rustup target add x86_64-unknown-none".into()
            ]
        );
        let text = describe(&missing, &commands(&missing, false));
        let line = format!(
            "sudo apt-get update && sudo {install} && rustup target add x86_64-unknown-none"
        );
        assert!(text.ends_with(&line), "{text}");
        assert!(text.contains("  six                  imported\n"), "{text}");
    }

    #[test]
    fn absent_programs_do_not_answer() {
        assert!(!answers("no-such-program-here", "--version"));
        assert!(answers("sh", "-c"));
    }
}
