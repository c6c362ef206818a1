//! The kernel configurations, read from `kernel/config/`.
//!
//! `base.toml` holds what all profiles share; `release.toml` and `debug.toml`
//! hold differences only. A setting becomes `#define CONFIG_<NAME> <value>` in
//! the `autoconf.h` that both the kernel and the bindings read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::error::Error;

/// Which of the two kernels to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// No assertions, no debug system calls, prints nothing: what guests run on.
    Release,
    /// Assertions and debug system calls. Never a boundary: a guest can halt it.
    Debug,
}

impl Profile {
    /// Name of the profile and of its data file.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Debug => "debug",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Value of one configuration setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// `true` defines the name as 1; `false` leaves it undefined.
    Flag(bool),
    /// A number.
    Number(i64),
}

/// A kernel configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Settings by name, without the prefix `CONFIG_`.
    pub settings: BTreeMap<String, Setting>,
    /// Preprocessor names that are given on the command line.
    #[serde(default)]
    pub defines: Vec<String>,
    /// Flags of the C compiler.
    #[serde(default)]
    pub c_flags: Vec<String>,
    /// Flags of the linker, given through the compiler.
    #[serde(default)]
    pub link_flags: Vec<String>,
    /// Source files that only some profiles compile, inside the kernel tree.
    #[serde(default)]
    pub extra_sources: Vec<String>,
}

impl Config {
    /// Returns the content of `autoconf.h`.
    pub fn autoconf(&self) -> String {
        let mut text = String::from(
            "/* Written by Umbriel's kernel build from kernel/config/. */\n#pragma once\n",
        );
        for (name, setting) in &self.settings {
            match setting {
                Setting::Flag(true) => text.push_str(&format!("#define CONFIG_{name} 1\n")),
                Setting::Flag(false) => {}
                Setting::Number(value) => {
                    text.push_str(&format!("#define CONFIG_{name} {value}\n"))
                }
            }
        }
        text
    }

    /// Adds the settings and flags of `difference`; its settings win.
    fn extend(&mut self, difference: Config) {
        self.settings.extend(difference.settings);
        self.defines.extend(difference.defines);
        self.c_flags.extend(difference.c_flags);
        self.link_flags.extend(difference.link_flags);
        self.extra_sources.extend(difference.extra_sources);
    }
}

/// Reads the configuration of `profile`.
///
/// # Errors
/// [`Error::Io`] or [`Error::BadData`] about a data file.
pub fn config(repo_root: &Path, profile: Profile) -> Result<Config, Error> {
    let dir = repo_root.join("kernel/config");
    let mut config = read(&dir.join("base.toml"))?;
    config.extend(read(&dir.join(format!("{profile}.toml")))?);
    Ok(config)
}

fn read(path: &Path) -> Result<Config, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    toml::from_str(&text).map_err(|e| Error::data(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        toml::from_str(text).expect("test configuration")
    }

    #[test]
    fn difference_wins_and_false_undefines() {
        let mut config = parse("defines = ['A']\n[settings]\nFASTPATH = true\nTICK = 2");
        config.extend(parse("defines = ['B']\n[settings]\nFASTPATH = false\nTICK = 3"));
        let text = config.autoconf();
        assert!(text.contains("#define CONFIG_TICK 3\n"));
        assert!(!text.contains("FASTPATH"));
        assert_eq!(config.defines, ["A", "B"]);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<Config>("flags = []\n[settings]\n").is_err());
    }
}
