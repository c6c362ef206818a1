//! The documentation names what exists: links lead somewhere, files that it
//! mentions are there, and the list of unsafe modules is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files below `directory` with this extension, relative to the repository.
/// Build results and hidden directories are passed over.
fn files(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from(directory)];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(repository().join(&directory)) else {
            continue;
        };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = directory.join(&name);
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.to_str().unwrap().trim_start_matches('/').to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn pages() -> Vec<String> {
    let mut pages = files("docs", "md");
    pages.extend(["README.md", "CHANGELOG.md"].map(str::to_owned));
    pages
}

/// Targets of `[text](target)`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in links(&text).filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            let from = repository().join(&page);
            let target = from.parent().unwrap().join(file);
            assert!(target.exists(), "{page} links to {link}");
        }
    }
}

/// Top-level directories whose files the documentation names by path.
const ROOTS: [&str; 14] = [
    "bench/",
    "crates/",
    "drivers/",
    "fuzz/",
    "guest-loader/",
    "guests/",
    "kernel/",
    "manifests/",
    "qemu/",
    "root-task/",
    "shadow-server/",
    "tests/systems/",
    "umbriel/",
    "vmm/",
];

#[test]
fn files_that_are_named_exist() {
    for page in pages() {
        let text = read(&page);
        // Code spans are what stands at odd places between backquotes.
        for line in text.lines() {
            for span in line.split('`').skip(1).step_by(2) {
                let is_path = ROOTS.iter().any(|root| span.starts_with(root));
                let is_pattern = span.contains(|c: char| c.is_whitespace() || "*<>{}…".contains(c))
                    || span.contains("N.")
                    || span.contains("NAME");
                // A test is named by its file and its name.
                let file = span.split("::").next().unwrap();
                if is_path && !is_pattern {
                    assert!(repository().join(file).exists(), "{page} names {span}");
                }
            }
        }
    }
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/README.md");
    for page in files("docs/decisions", "md") {
        let link = page.strip_prefix("docs/").unwrap();
        assert!(index.contains(&format!("({link})")), "{page} is not in the index");
    }
}

/// Whether `source` opts in to unsafe code: `allow(unsafe_code…`, on one line
/// or several.
fn opts_in(source: &str) -> bool {
    source.split("allow(").skip(1).any(|rest| rest.trim_start().starts_with("unsafe_code"))
}

#[test]
fn the_list_of_unsafe_modules_is_complete() {
    let caveats = read("docs/caveats.md");
    let (_, section) = caveats.split_once("\n## Unsafe code\n").unwrap();
    let listed: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let system = ["crates", "drivers", "guest-loader", "qemu", "root-task", "shadow-server", "vmm"];
    let found: BTreeSet<String> = system
        .iter()
        .flat_map(|directory| files(directory, "rs"))
        .chain(files("umbriel/src", "rs"))
        .filter(|path| opts_in(&read(path)))
        .collect();
    assert_eq!(listed, found);
}
