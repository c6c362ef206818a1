//! Finds and parses the interface files of a kernel tree.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::Error;
use crate::xml::{self, Element};

/// How the interface files are named and how they state conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlDialect {
    /// Release 5.0.0: `sel4.xml`, conditions as C expressions, `autoconf.h`.
    Strings,
    /// Release 13.0.0 and later: `object-api.xml`, conditions as elements, `gen_config.json`.
    Elements,
}

/// A parsed interface file.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) root: Element,
}

/// The files of one kernel.
#[derive(Debug)]
pub(crate) struct KernelFiles {
    pub(crate) dialect: XmlDialect,
    /// In the order in which labels are counted: generic, x86_64, x86.
    pub(crate) interfaces: [Document; 3],
    pub(crate) syscalls: Document,
    pub(crate) config: Config,
    /// Every file read, for `rerun-if-changed`.
    pub(crate) paths: Vec<PathBuf>,
}

const SYSCALLS: &str = "libsel4/include/api/syscall.xml";
const STRINGS: [&str; 3] = [
    "libsel4/include/interfaces/sel4.xml",
    "libsel4/sel4_arch_include/x86_64/interfaces/sel4arch.xml",
    "libsel4/arch_include/x86/interfaces/sel4arch.xml",
];
const ELEMENTS: [&str; 3] = [
    "libsel4/include/interfaces/object-api.xml",
    "libsel4/include/interfaces/object-api-sel4-arch.xml",
    "libsel4/include/interfaces/object-api-arch.xml",
];
const AUTOCONF: &str = "autoconf.h";
const JSON: [&str; 2] =
    ["libsel4/include/kernel/gen_config.json", "libsel4/include/sel4/gen_config.json"];

impl KernelFiles {
    /// Reads all files under `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self, Error> {
        let (dialect, names) = if directory.join(ELEMENTS[0]).is_file() {
            (XmlDialect::Elements, ELEMENTS)
        } else if directory.join(STRINGS[0]).is_file() {
            (XmlDialect::Strings, STRINGS)
        } else {
            return Err(Error::NotAKernel { directory: directory.to_owned() });
        };
        let (config, mut paths) = match dialect {
            XmlDialect::Strings => read_autoconf(&directory.join(AUTOCONF))?,
            XmlDialect::Elements => read_json(JSON.map(|name| directory.join(name)))?,
        };
        let [generic, sel4_arch, arch] = names.map(|name| Document::read(directory.join(name)));
        let interfaces = [generic?, sel4_arch?, arch?];
        let syscalls = Document::read(directory.join(SYSCALLS))?;
        paths.extend(interfaces.iter().map(|document| document.path.clone()));
        paths.push(syscalls.path.clone());
        Ok(Self { dialect, interfaces, syscalls, config, paths })
    }
}

impl Document {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let root = xml::parse(&read(&path)?)
            .map_err(|error| Error::malformed(&path, error.line, error.problem))?;
        Ok(Self { path, root })
    }

    /// An error about an element of this document.
    pub(crate) fn error(&self, element: &Element, problem: impl Into<String>) -> Error {
        Error::malformed(&self.path, element.line, problem)
    }
}

fn read_autoconf(path: &Path) -> Result<(Config, Vec<PathBuf>), Error> {
    let config = Config::from_autoconf(&read(path)?);
    if config.is_empty() {
        return Err(Error::malformed(path, 1, "no '#define CONFIG_…' line: not a configuration"));
    }
    Ok((config, vec![path.to_owned()]))
}

fn read_json(paths: [PathBuf; 2]) -> Result<(Config, Vec<PathBuf>), Error> {
    let mut config = Config::default();
    for path in &paths {
        let part = Config::from_json(&read(path)?)
            .map_err(|(line, problem)| Error::malformed(path, line, problem))?;
        config.merge(part);
    }
    Ok((config, paths.into()))
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })
}
