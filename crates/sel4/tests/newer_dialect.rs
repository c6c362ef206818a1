//! Runs this crate's unit tests once more, built for the newer dialect of seL4's interface.
//!
//! Which side of `dialect` the invocations take is fixed when the crate is compiled, so testing the
//! other side takes another build: of the miniature 16.0.0 tree of `sel4-abi`, in a target
//! directory of its own.

use std::path::Path;
use std::process::Command;

#[test]
fn unit_tests_pass_for_the_newer_dialect() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--lib", "--manifest-path"])
        .arg(manifest.join("Cargo.toml"))
        .env("UMBRIEL_SEL4_ABI", manifest.join("../sel4-abi/tests/fixtures/elements"))
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("newer-dialect"))
        .status()
        .expect("cargo runs");
    assert!(status.success());
}
