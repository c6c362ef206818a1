//! Builds Solo5's own test unikernels for hvt from the registry's sources.
//!
//! Job: third-party guests without a download of binaries. The sources are the
//! Solo5 v0.7.2 tree in package `solo5-sys`, locked in `sources/Cargo.lock`.
//! The recipe does what that tree's `bindings/GNUmakefile`, `toolchain/cc.in`
//! and `tests/Makefile.tests` do for hvt, in place and without `configure.sh`,
//! which insists on building tenders that need further libraries.
//!
//! Invariants: results are named by a hash of sources, recipe and compiler and
//! appear by one rename, whole or not at all; builds in one output directory
//! exclude each other by a file lock; the package's directory is only read.

mod error;
mod recipe;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use error::BuildError;
use kernel_build::{Package, Tool};
use sha2::{Digest, Sha256};

/// The registry package that carries the Solo5 tree.
pub const PACKAGE: &str = "solo5-sys";
/// The version that the bindings print; the tree has no file that says it.
pub const VERSION: &str = "v0.7.2";

/// Tests that need no device, in upstream's order.
pub const TESTS: [&str; 11] = [
    "hello",
    "quiet",
    "globals",
    "exception",
    "zeropage",
    "xnow",
    "notls",
    "tls",
    "ssp",
    "fpu",
    "time",
];

/// Goes into every hash; count up when `recipe.rs` changes what it produces.
const RECIPE_VERSION: u32 = 1;
const HASH_DIGITS: usize = 16;

const TOOLS: [Tool; 3] = [
    Tool { name: "gcc", why: "compiles Solo5's bindings and tests", debian_package: "gcc" },
    Tool { name: "ld", why: "links Solo5's bindings and tests", debian_package: "binutils" },
    Tool { name: "objcopy", why: "hides the bindings' inner symbols", debian_package: "binutils" },
];
/// The manifest tool runs on the host and includes libc's headers.
const LIBC_HEADERS: Tool =
    Tool { name: "stdio.h", why: "compiles Solo5's manifest tool", debian_package: "libc6-dev" };

/// A built unikernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Name, as in [`TESTS`].
    pub name: &'static str,
    /// The image, `test_NAME.hvt`.
    pub path: PathBuf,
}

/// Builds all of [`TESTS`] below `out_dir`, or finds them there. `progress` is
/// called with a short phrase as each step of a real build begins.
///
/// # Errors
/// [`BuildError`]: missing sources or tools, or a failed command.
pub fn build_tests(
    repo_root: &Path,
    out_dir: &Path,
    progress: &dyn Fn(&str),
) -> Result<Vec<Test>, BuildError> {
    if let Some(tool) = missing_tools().first() {
        return Err(BuildError::MissingTool(*tool));
    }
    let package = kernel_build::package(repo_root, PACKAGE)?;
    let target = out_dir.join(key(&package, &[])?);
    let solo5 = package.dir.join("solo5");
    build_once(out_dir, &target, |scratch| recipe::run(&solo5, scratch, progress))?;
    Ok(TESTS
        .iter()
        .map(|&name| Test { name, path: target.join(recipe::file_name(name)) })
        .collect())
}

/// Builds as [`build_tests`] and gives the path of the one test.
///
/// # Errors
/// [`BuildError::UnknownTest`], or as [`build_tests`].
pub fn build_test(
    repo_root: &Path,
    out_dir: &Path,
    name: &str,
    progress: &dyn Fn(&str),
) -> Result<PathBuf, BuildError> {
    if !TESTS.contains(&name) {
        return Err(BuildError::UnknownTest(name.to_owned()));
    }
    let tests = build_tests(repo_root, out_dir, progress)?;
    let found = tests.into_iter().find(|test| test.name == name);
    found.map(|test| test.path).ok_or_else(|| BuildError::UnknownTest(name.to_owned()))
}

/// Builds the unikernel of `directory`, which holds `manifest.json` and a C file
/// of the directory's name, below `out_dir`, or finds it there; the image.
///
/// # Errors
/// As [`build_tests`].
pub fn build_program(
    repo_root: &Path,
    out_dir: &Path,
    directory: &Path,
    progress: &dyn Fn(&str),
) -> Result<PathBuf, BuildError> {
    if let Some(tool) = missing_tools().first() {
        return Err(BuildError::MissingTool(*tool));
    }
    let package = kernel_build::package(repo_root, PACKAGE)?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let source = directory.join(format!("{name}.c"));
    let manifest = directory.join("manifest.json");
    let target = out_dir.join(key(&package, &[&source, &manifest])?);
    let solo5 = package.dir.join("solo5");
    let file = format!("{name}.hvt");
    build_once(out_dir, &target, |scratch| {
        recipe::run_program(&solo5, scratch, (&file, &manifest, &source), progress)
    })?;
    Ok(target.join(file))
}

/// Lists what is missing on this machine; empty if the tests can be built.
pub fn missing_tools() -> Vec<Tool> {
    let mut missing: Vec<_> =
        TOOLS.into_iter().filter(|tool| !recipe::answers(tool.name)).collect();
    if missing.is_empty() && !recipe::has_libc_headers() {
        missing.push(LIBC_HEADERS);
    }
    missing
}

/// Makes `target` by `build`, unless it is there.
fn build_once(
    out_dir: &Path,
    target: &Path,
    build: impl FnOnce(&Path) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    if target.exists() {
        return Ok(());
    }
    fs::create_dir_all(out_dir).map_err(BuildError::io("create", out_dir))?;
    let lock_path = out_dir.join(".lock");
    let lock = File::create(&lock_path).map_err(BuildError::io("create", &lock_path))?;
    lock.lock().map_err(BuildError::io("lock", &lock_path))?;
    if target.exists() {
        return Ok(()); // another build made it while this one waited
    }
    let scratch = target.with_extension("partial");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(BuildError::io("remove", &scratch))?;
    }
    fs::create_dir_all(&scratch).map_err(BuildError::io("create", &scratch))?;
    build(&scratch)?;
    fs::rename(&scratch, target).map_err(BuildError::io("create", target))
}

/// Names the result: everything that goes into it, `sources` besides the package.
fn key(package: &Package, sources: &[&Path]) -> Result<String, BuildError> {
    let mut hash = Sha256::new();
    hash.update(RECIPE_VERSION.to_le_bytes());
    hash.update(&package.checksum);
    for tool in TOOLS {
        hash.update(recipe::output(
            "asking for versions",
            Command::new(tool.name).arg("--version"),
        )?);
    }
    for source in sources {
        let bytes = fs::read(source).map_err(BuildError::io("read", source))?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(hex[..HASH_DIGITS].to_owned())
}
