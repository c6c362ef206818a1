//! Every test that `docs/negative-list.md` names exists.

use std::fs;
use std::path::Path;

#[test]
fn every_test_named_exists() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(repository.join("docs/negative-list.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let spans = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let named: Vec<(&str, &str)> = spans.filter_map(|span| span.split_once("::")).collect();
    assert!(named.len() > 40, "{} tests are named", named.len());
    for (file, test) in named {
        let path = match file.contains('/') {
            true => repository.join(file),
            false => repository.join("crates/shadow-core/tests").join(file),
        };
        let source = fs::read_to_string(&path);
        let source = source.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Functions, and tests that a macro makes from a list.
        let found = [format!("fn {test}("), format!("    {test}: ")];
        let exists = found.iter().any(|text| source.contains(text));
        assert!(exists, "{file} has no test {test}");
    }
}
