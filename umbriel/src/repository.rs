//! Where things are: the sources, and what the tool makes of them.

use std::env;
use std::path::{Path, PathBuf};

/// A checkout of Umbriel.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The checkout that this tool was built from.
    pub fn find() -> Repository {
        // `cargo run` says where the package is now; the path at compile time
        // serves a binary that was started directly.
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        Repository { root: package.parent().map(Path::to_owned).unwrap_or(package) }
    }

    /// The checkout's top directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or directory of the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A place under `target/`.
    pub fn target(&self, relative: &str) -> PathBuf {
        self.root.join("target").join(relative)
    }

    /// `path` as people see it: relative to where they are if it is below, to
    /// the checkout otherwise.
    pub fn shown(&self, path: &Path) -> String {
        let here = env::current_dir().unwrap_or_default();
        let short = path.strip_prefix(&here).or_else(|_| path.strip_prefix(&self.root));
        short.unwrap_or(path).display().to_string()
    }
}
