//! What to boot, as the command line says it: a manifest, or a lone image.

use std::fs;
use std::io::{self, IsTerminal, stderr};
use std::path::{Path, PathBuf};

use guest_loader::{Image, default_memory, detect};
use system::manifest::{self, Diagnostics, Disk, Files, Size, System};

use crate::cli::SystemArgs;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Booted when the command line names nothing.
const DEFAULT: &str = "manifests/quickstart.toml";

/// A validated system.
#[derive(Debug)]
pub struct Loaded {
    /// The system.
    pub system: System,
    /// What it was loaded from, for messages and commands.
    pub shown: String,
}

/// Loads what `args` name.
///
/// # Errors
/// What is wrong with the manifest or the image, and where.
pub fn load(repository: &Repository, args: &SystemArgs) -> Result<Loaded> {
    let path = match &args.system {
        Some(path) => path.clone(),
        None => PathBuf::from(repository.shown(&repository.path(DEFAULT))),
    };
    if path.extension().is_none_or(|extension| extension != "toml") {
        return load_image(repository, &path, args);
    }
    if args.mem.is_some() || args.append.is_some() || args.no_rewrite {
        return Err(Error::new(format!(
            "--mem, --append and --no-rewrite are for a lone image; in a manifest, write `memory`, `args` and \
             `rewrite` of the guest ({})",
            path.display()
        )));
    }
    let system = manifest::load(&path, Some(repository.root()))
        .map_err(|diagnostics| refusal(&diagnostics))?;
    Ok(Loaded { system, shown: path.display().to_string() })
}

fn load_image(repository: &Repository, path: &Path, args: &SystemArgs) -> Result<Loaded> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let shown = path.display().to_string();
    let image = Image { name: &shown, bytes: &bytes };
    let platform = detect(&image)?;
    let memory = match &args.mem {
        Some(text) => size(text)?,
        None => default_memory(&image, platform)?,
    };
    let arguments = words(args.append.as_deref().unwrap_or(""));
    // In the present directory, so that the image's path means what was typed.
    let generated = Overlay {
        path: PathBuf::from("generated-manifest.toml"),
        text: manifest::for_image(path, platform, memory, &arguments),
    };
    let mut system = manifest::load_from(&generated, &generated.path, Some(repository.root()))
        .map_err(|diagnostics| refusal(&diagnostics))?;
    if args.no_rewrite {
        system.guests.iter_mut().for_each(|guest| guest.rewrite = Some(false));
    }
    Ok(Loaded { system, shown })
}

fn size(text: &str) -> Result<u64> {
    let no_size =
        |_| Error::new(format!("--mem {text:?} is no size; write one such as \"64 MiB\""));
    Size::parse(text).map(|size| size.0).map_err(no_size)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// An error that shows `diagnostics`.
pub fn refusal(diagnostics: &Diagnostics) -> Error {
    Error::new(diagnostics.render(stderr().is_terminal()))
}

/// One file in memory over those on disk.
struct Overlay {
    path: PathBuf,
    text: String,
}

impl Files for Overlay {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path { Ok(self.text.clone().into_bytes()) } else { Disk.read(path) }
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        if path == self.path { Ok(self.text.len() as u64) } else { Disk.length(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_words_are_taken_apart() {
        assert_eq!(size("64 MiB").unwrap(), 64 << 20);
        assert!(size("lots").unwrap_err().to_string().contains("64 MiB"));
        assert_eq!(words(" --solo5:quiet  a "), ["--solo5:quiet", "a"]);
    }
}
