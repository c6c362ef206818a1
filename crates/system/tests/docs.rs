//! Generated documentation is what the code says. After a change run
//! `BLESS=1 cargo test -p system --features host` and read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use system::manifest::{self, Problem, reference, schema};

const BEGIN: &str = "<!-- keys: generated from crates/system/src/manifest/schema.rs -->\n";
const END: &str = "\n<!-- end of keys -->";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn compare(name: &str, made: &str) {
    let path = docs(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "docs/{name} is out of date; `BLESS=1 cargo test -p system --features host` writes it anew"
    );
}

#[test]
fn layout_is_up_to_date() {
    compare("layout.md", &system::layout::markdown());
}

#[test]
fn reference_of_keys_is_up_to_date() {
    let text = fs::read_to_string(docs("manifest.md")).unwrap();
    let (before, rest) =
        text.split_once(BEGIN).expect("docs/manifest.md has the mark of the keys' begin");
    let (_, after) = rest.split_once(END).expect("docs/manifest.md has the mark of the keys' end");
    compare("manifest.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", reference::markdown()));
}

#[test]
fn every_key_is_in_the_reference() {
    let text = fs::read_to_string(docs("manifest.md")).unwrap();
    for section in schema::SECTIONS {
        for key in section.keys {
            let row = format!("| `{}` |", key.name);
            assert!(
                text.contains(&row) && text.contains(key.doc),
                "{} {}",
                section.header,
                key.name
            );
        }
    }
}

/// The examples of the reference are manifests, not only look like them.
#[test]
fn examples_are_valid() {
    let text = fs::read_to_string(docs("manifest.md")).unwrap();
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let mut files = manifest::InMemory::default();
        files.0.insert("m.toml".into(), example.as_bytes().to_vec());
        files.0.insert("fragments/pc.toml".into(), b"schema = 1\n".to_vec());
        files.0.insert("apps/http.hvt".into(), vec![0; 4096]);
        if let Err(diagnostics) = manifest::load_from(&files, Path::new("m.toml"), None) {
            panic!("{example}\n{diagnostics}");
        }
    }
}

#[test]
fn quickstart_is_valid() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let system = manifest::load(&top.join("manifests/quickstart.toml"), Some(&top)).unwrap();
    assert_eq!(system.guests.len(), 2);
    assert_eq!(system.guests[0].args, ["Hello_Solo5"]);
}

#[test]
fn codes_are_unique() {
    let mut codes = Problem::CODES.to_vec();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Problem::CODES.len());
}
