//! Links the guest at the fixed addresses of the shared linker script.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/guest.ld");
    println!("cargo::rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bins=--no-pie");
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}
