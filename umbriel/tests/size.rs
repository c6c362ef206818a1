//! The paging server stays small: what must be trusted to keep guests apart can be
//! read in a day or two.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code of `shadow-core` and `shadow-server` together, at most.
const LIMIT: usize = 6000;

/// What begins an item that only tests compile.
const FOR_TESTS: [&str; 2] = ["#[cfg(test)]", "#[cfg(feature = \"states\")]"];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Lines that are neither blank nor comments nor for tests. Formatted code closes
/// an item in the column where it begins.
fn lines_of_code(source: &str) -> usize {
    let mut count = 0;
    let mut skipped_to: Option<String> = None;
    for line in source.lines() {
        let code = line.trim();
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(end) = &skipped_to {
            if line == end || (code.ends_with(';') && end.len() == indent.len() + 1) {
                skipped_to = None;
            }
        } else if FOR_TESTS.contains(&code) {
            skipped_to = Some(format!("{indent}}}"));
        } else if !code.is_empty() && !code.starts_with("//") {
            count += 1;
        }
    }
    count
}

#[test]
fn the_paging_server_is_small() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lines = |directory: &str| -> usize {
        let files = sources(&repository.join(directory));
        files.iter().map(|file| lines_of_code(&fs::read_to_string(file).unwrap())).sum()
    };
    let (core, server) = (lines("crates/shadow-core/src"), lines("shadow-server/src"));
    assert!(core > 1000 && server > 1000, "sources were not found");
    assert!(
        core + server <= LIMIT,
        "shadow-core has {core} lines of code and shadow-server {server}: more than {LIMIT} together"
    );
}

#[test]
fn tests_and_comments_do_not_count() {
    let source = "//! Job.\n\nfn a() {\n    // why\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {\n    }\n}\n\n\
        #[cfg(feature = \"states\")]\nimpl A {\n}\n#[cfg(test)]\nuse d;\nfn e() {}\n";
    assert_eq!(lines_of_code(source), 4);
}
