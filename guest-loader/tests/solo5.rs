//! Solo5's own tests, built from source and placed.

use std::path::{Path, PathBuf};

use guest_loader::{Image, Options, Platform, detect, place, solo5_build};

fn repo_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn tests() -> Vec<(&'static str, PathBuf)> {
    let out = repo_root().join("target/solo5");
    let tests = solo5_build::build_tests(repo_root(), &out, &|step| eprintln!("{step}")).unwrap();
    tests.into_iter().map(|test| (test.name, test.path)).collect()
}

#[test]
fn all_tests_build_and_place() {
    for (name, path) in tests() {
        let bytes = std::fs::read(&path).unwrap();
        let image = Image { name, bytes: &bytes };
        assert_eq!(detect(&image).unwrap(), Platform::Solo5Hvt);
        let options = Options { memory_bytes: Some(2 << 20), ..Options::default() };
        let placed = place(&image, Platform::Solo5Hvt, &options).unwrap();
        // The bindings come first, behind the 24 bytes of the false interpreter's name.
        assert_eq!(placed.start.rip, 0x10_0020, "{name}");
        assert_eq!(placed.start.rsp, 0x1f_fff8);
        assert_eq!(placed.loads.first().map(|load| load.gpa.get()), Some(0x1000));
        assert!(placed.loads.iter().any(|load| load.gpa.get() == 0x10_0000));
    }
}
