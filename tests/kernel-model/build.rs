//! Links the root task at fixed addresses with the bindings' script, and names
//! the file with the operations that it carries out.

use std::path::PathBuf;
use std::{env, fs};

/// Names the file; without it the root task has nothing to do.
const SEQUENCE: &str = "KERNEL_MODEL_SEQUENCE";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={SEQUENCE}");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none")
        && let Ok(script) = env::var("DEP_SEL4_LINKER_SCRIPT")
    {
        println!("cargo::rustc-link-arg-bins=--no-pie");
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rerun-if-changed={script}");
    }
    let sequence = env::var_os(SEQUENCE).map_or_else(empty, PathBuf::from);
    println!("cargo::rerun-if-changed={}", sequence.display());
    println!("cargo::rustc-env={SEQUENCE}={}", sequence.display());
}

fn empty() -> PathBuf {
    let path = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("empty");
    fs::write(&path, []).expect("the build directory is writable");
    path
}
