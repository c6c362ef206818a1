//! Every mistake that validation finds has a manifest in `manifests/invalid`
//! and its message beside it.
//!
//! `NAME.toml` holds the mistake, `NAME.expected` what `check` prints. A name is
//! a problem's code, or starts with one. After a change of words run
//! `BLESS=1 cargo test -p system --features host` and read the difference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use system::manifest::{Diagnostics, Disk, Files, Problem, load_from};

const FOLDER: &str = "manifests/invalid";

/// The repository as seen from its top, with a large file that no repository
/// should hold.
struct Repository;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Files for Repository {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(&top().join(path))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        if path.ends_with("huge.hvt") { Ok(300 << 20) } else { Disk.length(&top().join(path)) }
    }
}

fn load(name: &str) -> Diagnostics {
    let path = Path::new(FOLDER).join(name).with_extension("toml");
    match load_from(&Repository, &path, Some(Path::new(""))) {
        Ok(system) => panic!("{name} is valid:\n{}", system.to_toml()),
        Err(diagnostics) => diagnostics,
    }
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(top().join(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_problem_has_a_manifest() {
    let names: BTreeSet<String> = names().into_iter().collect();
    for code in Problem::CODES.iter().filter(|code| !code.starts_with("compose-")) {
        assert!(names.contains(*code), "no {FOLDER}/{code}.toml");
    }
}

#[test]
fn every_manifest_has_the_problem_of_its_name() {
    for name in names().iter().filter(|name| *name != "several-mistakes") {
        for diagnostic in load(name).list() {
            let code = diagnostic.problem.code();
            assert!(name.starts_with(code), "{name} has the problem {code}");
        }
    }
}

#[test]
fn messages_are_as_expected() {
    let mut wrong = Vec::new();
    for name in names() {
        let path = top().join(FOLDER).join(&name).with_extension("expected");
        let found = load(&name).render(false) + "\n";
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &found).unwrap();
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&found) {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_says_where_why_and_what_to_do() {
    for name in names() {
        for record in load(&name).records() {
            assert!(
                record.file.is_some() && record.line.is_some() && record.column.is_some(),
                "{name}: {record:?}"
            );
            for text in [&record.what, &record.why, &record.fix] {
                assert!(!text.is_empty(), "{name}: {record:?}");
            }
        }
    }
}

#[test]
fn several_mistakes_are_reported_at_once() {
    assert_eq!(load("several-mistakes").list().len(), 5);
}

#[test]
fn a_manifest_that_is_not_there_is_a_message_too() {
    let refused = load_from(&Repository, Path::new("manifests/none.toml"), None).unwrap_err();
    let text = refused.render(false);
    assert!(
        text.starts_with("error[file-unreadable]: `manifests/none.toml` cannot be read"),
        "{text}"
    );
}

#[test]
fn colour_is_only_for_terminals() {
    let refused = load("unknown-key");
    assert!(refused.render(true).contains('\x1b'));
    assert!(!refused.render(false).contains('\x1b'));
}

#[test]
fn records_are_one_json_array() {
    let json: serde_json::Value = serde_json::from_str(&load("size-syntax").render_json()).unwrap();
    assert_eq!(json[0]["file"], "manifests/invalid/size-syntax.toml");
    assert_eq!(json[0]["line"], 7);
    assert_eq!(json[0]["key"], "guest.web.memory");
    assert_eq!(json[0]["value"], "\"32 MB\"");
}
