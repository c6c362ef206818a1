//! Kernels that cannot be served are refused with a reason, broken files with file and line.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sel4_abi::Abi;

/// A changed copy of a fixture, removed at the end of the test.
struct Tree(PathBuf);

impl Tree {
    fn of(fixture: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("refusal-{}-{number}", std::process::id()));
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
        copy(&source, &directory);
        Self(directory)
    }

    fn replace(self, file: &str, from: &str, to: &str) -> Self {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no '{from}'");
        fs::write(path, text.replace(from, to)).unwrap();
        self
    }

    fn remove(self, file: &str) -> Self {
        fs::remove_file(self.0.join(file)).unwrap();
        self
    }

    /// The message with which the tree is refused.
    fn refusal(&self) -> String {
        match Abi::read(&self.0) {
            Ok(_) => panic!("the tree was accepted"),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

const JSON: &str = "libsel4/include/kernel/gen_config.json";
const X86: &str = "libsel4/arch_include/x86/interfaces/sel4arch.xml";
const X86_64: &str = "libsel4/sel4_arch_include/x86_64/interfaces/sel4arch.xml";

#[test]
fn unsupported_configurations() {
    for (from, to, reason) in [
        ("\"KERNEL_MCS\": false", "\"KERNEL_MCS\": true", "MCS"),
        ("\"MAX_NUM_NODES\": \"1\"", "\"MAX_NUM_NODES\": \"4\"", "several cores"),
        ("\"SYSENTER\": false", "\"SYSENTER\": true", "SYSENTER"),
        ("\"SYSCALL\": true", "\"SYSCALL\": false", "SYSCALL"),
        ("\"ARCH_X86_64\": true", "\"ARCH_IA32\": true", "x86_64"),
    ] {
        let message = Tree::of("elements").replace(JSON, from, to).refusal();
        assert!(message.contains("cannot be used") && message.contains(reason), "{message}");
    }
    let several = Tree::of("strings").replace("autoconf.h", "NODES 1", "NODES 2");
    assert!(several.refusal().contains("several cores"));
}

#[test]
fn releases_between_the_dialects() {
    let message =
        Tree::of("strings").replace(X86, "X86PageRemap", "X86IOPortControlIssue").refusal();
    assert!(message.contains("between 5.0.0 and 13.0.0"), "{message}");
}

#[test]
fn unknown_contexts() {
    let message = Tree::of("strings").replace(X86_64, "\"gs_base\"", "\"pkru\"").refusal();
    assert!(message.contains("pkru") && message.contains("sel4arch.xml:"), "{message}");
    // Stock 5.0.0 has FS only, under its old name.
    let stock = Tree::of("strings")
        .replace(X86_64, "    <member name=\"gs_base\"/>\n", "")
        .replace(X86_64, "fs_base", "tls_base");
    assert_eq!(Abi::read(&stock.0).unwrap().features.bases, sel4_abi::RegisterBases::Fs);
}

#[test]
fn broken_trees() {
    let nothing = Tree::of("strings").remove("libsel4/include/interfaces/sel4.xml");
    assert!(nothing.refusal().contains("is no seL4 tree"));
    let part = Tree::of("elements").remove(JSON);
    assert!(part.refusal().contains("cannot read"));
    let cut = Tree::of("strings").replace(X86, "</api>", "");
    assert!(cut.refusal().contains("sel4arch.xml:"));
    let condition = Tree::of("strings").replace(X86, "defined(CONFIG_VTX)", "CONFIG_VTX ?");
    assert!(condition.refusal().contains("'?' is not known"));
    let twice = Tree::of("strings").replace(X86, "\"X86PageUnmap\"", "\"X86PageMap\"");
    assert!(twice.refusal().contains("X86PageMap has two labels"));
    let config = Tree::of("strings").replace("autoconf.h", "#define", "#undef");
    assert!(config.refusal().contains("not a configuration"));
}
