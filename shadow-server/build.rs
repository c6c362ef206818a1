//! Links the process where seL4 expects a static image.

fn main() {
    let script = std::env::var("DEP_SEL4_LINKER_SCRIPT");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none")
        && let Ok(script) = script
    {
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rustc-link-arg-bins=--no-pie");
    }
}
