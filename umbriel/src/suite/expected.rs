//! Boot tests as data: `tests/systems/NAME.expected` says how the system of
//! `NAME.toml` (or of another manifest) must behave. TOML, unknown keys are
//! errors; `tests/systems/README.md` has the reference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// Wall time that a boot test may take unless it says otherwise, in seconds.
const DEFAULT_TIMEOUT: u64 = 120;

/// How a system must behave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expected {
    /// What the test shows, in one sentence.
    pub about: String,
    /// The manifest, relative to this file; beside it if absent.
    pub manifest: Option<PathBuf>,
    /// Exit status of the run.
    pub status: u8,
    /// How it boots.
    #[serde(default)]
    pub boot: BootKind,
    /// Whether on the debug kernel.
    #[serde(default)]
    pub debug_kernel: bool,
    /// Why the machine runs on the host's clock instead of counting
    /// instructions; a test without a reason counts.
    pub real_time: Option<String>,
    /// Wall time in seconds after which the test has failed.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// Whether it only runs with `--long`.
    #[serde(default)]
    pub long: bool,
    /// What each client of the console must write; guests by their names, the
    /// supervisor as `umbriel`, text without a prefix as `machine`.
    #[serde(default)]
    pub output: BTreeMap<String, Output>,
    /// How guests must end.
    #[serde(default)]
    pub guest: BTreeMap<String, Guest>,
    /// Control records that must come, in any order: each key given must have
    /// the given value.
    #[serde(default)]
    pub record: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The least that a guest's processes count, by guest and `PROCESS.COUNTER`.
    #[serde(default)]
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Control records that must not come.
    #[serde(default)]
    pub no_record: Vec<serde_json::Map<String, serde_json::Value>>,
}

fn default_timeout() -> u64 {
    DEFAULT_TIMEOUT
}

/// How a system boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootKind {
    /// `qemu -kernel -initrd`.
    #[default]
    Direct,
    /// From a CD image, by GRUB.
    Iso,
}

/// What a client must write.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Output {
    /// The whole stream.
    pub exact: Option<String>,
    /// Texts that occur, in this order.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Texts that do not occur.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Numbers that occur, each between two bounds.
    #[serde(default)]
    pub number: Vec<Number>,
}

/// A decimal number in a client's output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Number {
    /// The text before it, at its first occurrence.
    pub after: String,
    /// Its least value.
    pub at_least: u64,
    /// Its greatest value.
    pub at_most: u64,
}

/// How a guest must end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guest {
    /// Its status.
    pub status: Option<u8>,
    /// The cause in its record.
    pub cause: Option<String>,
    /// Whether the same image, booted bare, must print the same and end with
    /// the same status.
    #[serde(default)]
    pub same_when_bare: bool,
    /// Whether to look for the instruction sequence where it is not.
    #[serde(default)]
    pub bisect: bool,
    /// What is typed for it, in this order.
    #[serde(default, rename = "type")]
    pub typed: Vec<Typed>,
}

/// Something that is typed for a guest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    /// The text that the guest writes before it is typed.
    pub after: String,
    /// What is typed.
    pub text: String,
}

impl Expected {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not of this form.
    pub fn read(path: &Path) -> Result<Expected> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        toml::from_str(&text).map_err(|error| Error::new(format!("{}: {error}", path.display())))
    }

    /// The manifest of the test in `path`.
    pub fn manifest(&self, path: &Path) -> PathBuf {
        match &self.manifest {
            Some(manifest) => path.parent().unwrap_or(Path::new("")).join(manifest),
            None => path.with_extension("toml"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> std::result::Result<Expected, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn defaults_are_the_common_case() {
        let expected = parse("about = \"x\"\nstatus = 255\n").unwrap();
        assert_eq!(
            (expected.status, expected.boot, expected.timeout),
            (255, BootKind::Direct, DEFAULT_TIMEOUT)
        );
        assert!(expected.real_time.is_none() && !expected.debug_kernel);
        assert_eq!(expected.manifest(Path::new("t/a.expected")), Path::new("t/a.toml"));
    }

    #[test]
    fn all_keys_are_read() {
        let expected = parse(
            "about = 'x'\nstatus = 0\nmanifest = '../q.toml'\nboot = 'iso'\nreal-time = 'GRUB waits'\n\
             [output.web]\nexact = \"a\\n\"\ncontains = ['a']\nlacks = ['b']\n\
             [guest.web]\nstatus = 0\ncause = 'exit'\nsame-when-bare = true\n\
             [[record]]\nrecord = 'crash'\nguest = 'web'\n",
        )
        .unwrap();
        assert_eq!(expected.output["web"].exact.as_deref(), Some("a\n"));
        assert!(expected.guest["web"].same_when_bare && expected.boot == BootKind::Iso);
        assert_eq!(expected.record[0]["guest"], "web");
        assert_eq!(expected.manifest(Path::new("t/a.expected")), Path::new("t/../q.toml"));
    }

    #[test]
    fn a_mistyped_key_is_an_error() {
        assert!(parse("about = 'x'\nstatus = 0\n[output.web]\ncontain = ['a']\n").is_err());
        assert!(parse("about = 'x'\n").is_err());
    }
}
