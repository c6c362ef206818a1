//! Peers and bars, from `bench/peers.toml` and `bench/bars.toml`.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::repository::Repository;

/// Figures of others: instructions an operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Peer {
    /// The row's name.
    pub name: String,
    /// What one operation is.
    pub operation: String,
    /// How often it was done.
    pub iterations: u64,
    /// Without a hypervisor.
    pub bare: f64,
    /// KVM's shadow paging.
    pub kvm_shadow: f64,
    /// KVM's nested paging.
    pub kvm_npt: f64,
    /// Xen's shadow paging.
    pub xen_shadow: f64,
    /// The lowest of KVM's and Xen's shadow paging, with mitigations and without.
    pub best_shadow: f64,
    /// Exits an operation under KVM's shadow paging.
    pub kvm_exits: f64,
}

/// What the figures were measured with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// QEMU.
    pub qemu: String,
    /// KVM.
    pub kvm: String,
    /// Xen.
    pub xen: String,
}

/// `bench/peers.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// What the figures were measured with.
    pub versions: Versions,
    row: Vec<Peer>,
}

/// `bench/bars.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bars {
    bars: BTreeMap<String, f64>,
    operations: BTreeMap<String, String>,
}

impl Peers {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(repository: &Repository) -> Result<Peers> {
        read(repository, "bench/peers.toml")
    }

    /// The peers of row `name`.
    pub fn row(&self, name: &str) -> Option<&Peer> {
        self.row.iter().find(|peer| peer.name == name)
    }
}

impl Bars {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(repository: &Repository) -> Result<Bars> {
        read(repository, "bench/bars.toml")
    }

    /// What row `name` aims at.
    pub fn bar(&self, name: &str) -> Option<f64> {
        self.bars.get(name).copied()
    }

    /// What one operation of row `name` is, if peers do not have it.
    pub fn operation(&self, name: &str) -> Option<&str> {
        self.operations.get(name).map(String::as_str)
    }
}

fn read<T: DeserializeOwned>(repository: &Repository, file: &str) -> Result<T> {
    let path = repository.path(file);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    toml::from_str(&text).map_err(|error| Error::new(format!("{file}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_sound_and_name_each_row_once() {
        let repository = Repository::find();
        let (peers, bars) = (Peers::read(&repository).unwrap(), Bars::read(&repository).unwrap());
        for peer in &peers.row {
            let same = peers.row.iter().filter(|other| other.name == peer.name);
            assert_eq!(same.count(), 1, "{}", peer.name);
            assert!(peer.best_shadow <= peer.kvm_shadow.min(peer.xen_shadow));
            assert!(peer.bare <= peer.best_shadow && peer.iterations > 0);
        }
        for name in bars.bars.keys() {
            assert!(
                peers.row(name).is_some() || bars.operation(name).is_some(),
                "{name}: nobody says what one operation is"
            );
        }
    }
}
