//! `cargo umbriel kernel`.

use kernel_build::Setting;

use crate::build::{self, profile_named};
use crate::cli::KernelArgs;
use crate::error::Result;
use crate::output::text;
use crate::progress::Progress;
use crate::repository::Repository;
use crate::tools::{self, Need};

/// Columns of the reasons.
const WIDTH: usize = 92;

/// Runs the command.
///
/// # Errors
/// What is wrong with the kernel's data files, or what the build said.
pub fn execute(repository: &Repository, args: &KernelArgs) -> Result<u8> {
    text::print(&description(repository, args.debug_kernel)?)?;
    if args.build {
        tools::require(&[Need::Build], args.consent.yes)?;
        let kernel = build::kernel(repository, args.debug_kernel, &Progress::new())?;
        let path = repository.shown(&kernel.elf);
        text::print(&format!("built: {path}\nhash: {}\n", kernel.hash))?;
    }
    Ok(0)
}

fn description(repository: &Repository, debug: bool) -> Result<String> {
    let profile = profile_named(debug);
    let config = kernel_build::config(repository.root(), profile)?;
    let settings = config.settings.iter();
    let settings: Vec<String> = settings.filter_map(|(name, value)| setting(name, value)).collect();
    let (version, package) = (kernel_build::SEL4_VERSION, kernel_build::KERNEL_PACKAGE);
    let mut text = format!(
        "seL4 {version} from the package {package}\n\nconfiguration {}:\n{}\n\nedits:\n",
        profile.name(),
        wrapped(&settings.join(" "), 2),
    );
    for edit in kernel_build::edits(repository.root())? {
        let proof = format!("Origin: {}. Proof: {}.", plain(&edit.origin), plain(&edit.proof));
        text += &format!("  {} {}\n", edit.id, edit.title);
        text += &format!("{}\n{}\n\n", wrapped(&edit.reason, 5), wrapped(&proof, 5));
    }
    Ok(text)
}

fn setting(name: &str, value: &Setting) -> Option<String> {
    match value {
        Setting::Flag(true) => Some(name.to_owned()),
        Setting::Flag(false) => None,
        Setting::Number(number) => Some(format!("{name}={number}")),
    }
}

fn plain(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// `text` in lines of at most [`WIDTH`] columns, indented.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if indent + line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("{:indent$}{line}", "")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_wrapped() {
        let text = wrapped(&"word ".repeat(40), 4);
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.len() <= WIDTH),
            "{text}"
        );
        assert!(text.lines().all(|line| line.starts_with("    word")));
        assert_eq!(wrapped("", 2), "  ");
    }
}
