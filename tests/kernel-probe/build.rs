//! Links the root task at fixed addresses with the bindings' script.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none")
        && let Ok(script) = env::var("DEP_SEL4_LINKER_SCRIPT")
    {
        println!("cargo::rustc-link-arg-bins=--no-pie");
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rerun-if-changed={script}");
    }
}
