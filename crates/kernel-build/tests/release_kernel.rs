//! Builds the release kernel as `cargo umbriel run` does and looks at the result.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use kernel_build::{BuildRequest, EditId, Error, KernelImage, Profile};

fn repo_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("repository")
}

fn build(out_dir: &Path, omit_edits: &[EditId], steps: &Cell<usize>) -> Result<KernelImage, Error> {
    kernel_build::build(&BuildRequest {
        repo_root: &repo_root(),
        out_dir,
        profile: Profile::Release,
        omit_edits,
        progress: &|_| steps.set(steps.get() + 1),
    })
}

#[test]
fn builds_once_and_holds_what_the_edits_promise() {
    let out_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release-kernel");
    // Two at once: one builds, the other waits for it.
    let image = std::thread::scope(|scope| {
        let other = scope.spawn(|| build(&out_dir, &[], &Cell::new(0)).expect("kernel"));
        let image = build(&out_dir, &[], &Cell::new(0)).expect("kernel");
        assert_eq!(other.join().expect("other build"), image);
        image
    });

    // The second request finds the result and does nothing.
    let steps = Cell::new(0);
    assert_eq!(build(&out_dir, &[], &steps).expect("kernel"), image);
    assert_eq!(steps.get(), 0);

    for finding in kernel_build::inspect(&image).expect("inspection") {
        assert_eq!(finding.missing, None, "{}: {}", finding.edit, finding.what);
    }

    // QEMU takes a 32-bit ELF (class 1) for the i386 (machine 3).
    let elf32 = fs::read(&image.elf32).expect("kernel32.elf");
    assert_eq!((&elf32[..5], &elf32[18..20]), (b"\x7fELF\x01".as_slice(), [3, 0].as_slice()));

    // The bindings read these.
    let abi = |file: &str| fs::read_to_string(image.abi_dir.join(file)).expect(file);
    assert!(abi("autoconf.h").contains("#define CONFIG_FSGSBASE_MSR 1\n"));
    assert!(abi("generated/api/invocation.h").contains("TCBReadRegisters"));
    assert!(abi("libsel4/include/interfaces/sel4.xml").contains("<method id=\"UntypedRetype\""));
    assert!(
        abi("libsel4/sel4_arch_include/x86_64/sel4/sel4_arch/types.h")
            .contains("fs_base, gs_base;")
    );
}

#[test]
fn an_unknown_edit_is_named() {
    let out_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unknown-edit");
    let error = build(&out_dir, &[EditId(99)], &Cell::new(0)).expect_err("there is no E99");
    assert!(error.to_string().contains("no kernel edit E99"), "{error}");
}
