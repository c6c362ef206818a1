//! Machine profiles: what QEMU emulates, as data.

use serde::Deserialize;

use crate::error::Error;

/// The data files, built into the program.
const FILES: [(&str, &str); 2] =
    [("pc", include_str!("../machines/pc.toml")), ("bare", include_str!("../machines/bare.toml"))];

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// What it is, in one line.
    pub summary: String,
    /// The emulator, found on PATH.
    pub program: String,
    /// The Debian package that has the emulator.
    pub debian_package: String,
    /// Processor model with its flags; QEMU's own if absent.
    pub cpu: Option<String>,
    /// Serial ports, 1 or 2.
    pub serial_ports: usize,
    /// Messages of QEMU that say nothing of interest on this machine.
    #[serde(default)]
    pub harmless_messages: Vec<String>,
    /// Arguments that every start of this machine gets, before all others.
    pub arguments: Vec<String>,
}

impl Profile {
    /// The profile of `qemu/machines/NAME.toml`.
    ///
    /// # Errors
    /// [`Error::UnknownProfile`].
    pub fn named(name: &str) -> Result<Profile, Error> {
        let unknown = || Error::UnknownProfile(name.to_owned());
        let (_, text) = FILES.iter().find(|(known, _)| *known == name).ok_or_else(unknown)?;
        Ok(toml::from_str(text).expect("profiles are checked by a test"))
    }

    /// Names of all profiles.
    pub fn names() -> Vec<&'static str> {
        FILES.iter().map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_parses() {
        for name in Profile::names() {
            let profile = Profile::named(name).unwrap();
            assert!((1..=2).contains(&profile.serial_ports), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = Profile::named("vax").unwrap_err().to_string();
        assert!(message.contains("\"vax\"") && message.contains("pc, bare"), "{message}");
    }
}
