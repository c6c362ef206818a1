//! What we compute against what a C compiler makes of the headers of built kernels.
//!
//! Looks at the kernel that `UMBRIEL_SEL4_ABI` names, or at every kernel under `target/kernel`.
//! Without a kernel or a C compiler there is nothing to compare, and the test says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sel4_abi::Abi;

#[test]
fn numbers_agree_with_the_headers_of_built_kernels() {
    let kernels: Vec<PathBuf> = kernels()
        .into_iter()
        .filter(|abi| abi.join("generated/api/invocation.h").is_file())
        .collect();
    if kernels.is_empty() || Command::new("cc").arg("--version").output().is_err() {
        eprintln!("not compared: there is no built kernel, or no C compiler");
        return;
    }
    for (index, directory) in kernels.iter().enumerate() {
        let abi = Abi::read(directory).unwrap_or_else(|error| panic!("{error}"));
        let ours = our_numbers(&abi);
        let theirs = compiled_numbers(directory, index, ours.keys());
        for (name, number) in &ours {
            assert_eq!(theirs.get(name), Some(number), "{name} in {}", directory.display());
        }
    }
}

fn kernels() -> Vec<PathBuf> {
    if let Some(directory) = std::env::var_os("UMBRIEL_SEL4_ABI") {
        return vec![directory.into()];
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kernel");
    let entries = fs::read_dir(built).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("abi")).collect()
}

/// Every number under its C name.
fn our_numbers(abi: &Abi) -> BTreeMap<String, i64> {
    let mut numbers = BTreeMap::new();
    for (id, label) in &abi.labels {
        numbers.insert(id.clone(), *label as i64);
    }
    // One past the last label: a method that we missed would show here.
    numbers.insert("nArchInvocationLabels".into(), abi.labels.len() as i64 + 1);
    for (name, number) in &abi.syscalls {
        numbers.insert(format!("Sys{name}"), *number);
    }
    let (types, sizes) = (&abi.types, &abi.sizes);
    let objects = [
        ("seL4_UntypedObject", types.untyped),
        ("seL4_TCBObject", types.tcb),
        ("seL4_EndpointObject", types.endpoint),
        ("seL4_NotificationObject", types.notification),
        ("seL4_CapTableObject", types.cnode),
        ("seL4_X86_PDPTObject", types.pdpt),
        ("seL4_X64_PML4Object", types.pml4),
        ("seL4_X86_4K", types.page_4k),
        ("seL4_X86_LargePageObject", types.large_page),
        ("seL4_X86_PageTableObject", types.page_table),
        ("seL4_X86_PageDirectoryObject", types.page_directory),
        ("seL4_X64_HugePageObject", types.huge_page.unwrap_or(0xffff_fffe)),
        ("seL4_SlotBits", sizes.slot),
        ("seL4_TCBBits", sizes.tcb),
        ("seL4_EndpointBits", sizes.endpoint),
        ("seL4_NotificationBits", sizes.notification),
    ];
    numbers.extend(objects.map(|(name, number)| (name.to_owned(), number as i64)));
    numbers
}

/// What a C program that includes the headers prints for the names.
fn compiled_numbers<'a>(
    directory: &Path,
    index: usize,
    names: impl Iterator<Item = &'a String>,
) -> BTreeMap<String, i64> {
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("headers-{index}"));
    fs::create_dir_all(&scratch).unwrap();
    let (source, program) = (scratch.join("numbers.c"), scratch.join("numbers"));
    let mut text = String::from(
        "#include <stdio.h>\n#include <stdint.h>\ntypedef uint64_t seL4_Word;\ntypedef uint64_t word_t;\n\
         #define UNUSED __attribute__((unused))\n\
         #define SEL4_FORCE_LONG_ENUM(type) pad_##type = (1ull << 63) - 1\n\
         #include <autoconf.h>\n#include <arch/api/invocation.h>\n#include <arch/api/syscall.h>\n\
         #include <sel4/objecttype.h>\n#include <sel4/sel4_arch/objecttype.h>\n\
         #include <sel4/arch/objecttype.h>\n#include <sel4/sel4_arch/constants.h>\n\
         int main(void) {\n",
    );
    for name in names {
        let _ = writeln!(text, "printf(\"{name} %lld\\n\", (long long)({name}));");
    }
    text.push_str("return 0; }\n");
    fs::write(&source, text).unwrap();
    let compiled = Command::new("cc")
        .args(["-w", "-DHAVE_AUTOCONF", "-o"])
        .arg(&program)
        .args(
            ["", "generated", "libsel4/include", "libsel4/arch_include/x86"]
                .map(|below| format!("-I{}", directory.join(below).display())),
        )
        .arg(format!("-I{}", directory.join("libsel4/sel4_arch_include/x86_64").display()))
        .arg(&source)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&program).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        })
        .collect()
}
