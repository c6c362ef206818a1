//! Generates the constants of the kernel that this build is for.
//!
//! Which kernel: `UMBRIEL_SEL4_ABI` (set by `cargo umbriel`), else `SEL4_PREFIX` (a kernel that the
//! user installed), else, on seL4 itself, the newest kernel that `cargo umbriel kernel` built under
//! `target/kernel`. On a host, where this crate is only checked and tested, the miniature 5.0.0
//! tree of `sel4-abi` stands in, so that tests do not depend on what happens to be built.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sel4_abi::{Abi, generate};

const VARIABLES: [&str; 2] = ["UMBRIEL_SEL4_ABI", "SEL4_PREFIX"];

fn main() -> Result<(), Box<dyn Error>> {
    for variable in VARIABLES {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let script = manifest.join("link/process.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::metadata=linker_script={}", script.display());

    let directory = kernel_directory(&manifest)?;
    let abi = Abi::read(&directory)?;
    for path in &abi.paths {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    for name in generate::CFG_NAMES {
        println!("cargo::rustc-check-cfg=cfg({name})");
    }
    for flag in generate::cfg_flags(&abi) {
        println!("cargo::rustc-cfg={flag}");
    }
    let output = PathBuf::from(env::var("OUT_DIR")?).join("abi.rs");
    fs::write(output, generate::rust_source(&abi)?)?;
    Ok(())
}

fn kernel_directory(manifest: &Path) -> Result<PathBuf, Box<dyn Error>> {
    for variable in VARIABLES {
        if let Some(directory) = env::var_os(variable).filter(|value| !value.is_empty()) {
            return Ok(directory.into());
        }
    }
    if env::var("CARGO_CFG_TARGET_OS")? != "none" {
        return Ok(manifest.join("../sel4-abi/tests/fixtures/strings"));
    }
    let built = manifest.join("../../target/kernel");
    println!("cargo::rerun-if-changed={}", built.display());
    newest_kernel(&built).ok_or_else(|| {
        "no seL4 kernel to build for: run `cargo umbriel kernel`, or set SEL4_PREFIX to an \
         installed kernel (13.0.0 or later)"
            .into()
    })
}

/// The most recently built kernel below `directory`.
fn newest_kernel(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| abi_below(&entry.ok()?.path()))
        .max_by_key(|(built, _)| *built)
        .map(|(_, directory)| directory)
}

/// The interface files of one built kernel and when they were written.
fn abi_below(kernel: &Path) -> Option<(SystemTime, PathBuf)> {
    [kernel.join("abi"), kernel.to_owned()].into_iter().find_map(|directory| {
        let built = fs::metadata(directory.join("autoconf.h")).ok()?.modified().ok()?;
        Some((built, directory))
    })
}
