//! The named edits of the kernel source, and how they are applied.
//!
//! An edit is a data file `kernel/edits/eN.toml`: what it changes, why, where
//! the change comes from, and one or more replacements. Replacements are small
//! texts rather than copied files or line-numbered patches: each names its file
//! and a `find` text that must occur exactly once, before any edit and at the
//! moment it is applied.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use crate::error::Error;

/// Number of an edit, written `E1`, `E2`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EditId(pub u8);

impl fmt::Display for EditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{}", self.0)
    }
}

impl FromStr for EditId {
    type Err = String;

    fn from_str(text: &str) -> Result<EditId, String> {
        text.strip_prefix(['E', 'e']).and_then(|number| number.parse().ok()).map(EditId).ok_or_else(
            || format!("{text:?} is not the name of a kernel edit; names are E1, E2, …"),
        )
    }
}

impl<'de> Deserialize<'de> for EditId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<EditId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One replacement of an edit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// File inside the kernel tree, `/`-separated.
    pub file: String,
    /// Text that occurs exactly once in that file.
    pub find: String,
    /// Text that takes its place.
    pub replace: String,
}

/// A named change to the kernel source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Its name.
    pub id: EditId,
    /// What it does, in one line.
    pub title: String,
    /// Why it is needed.
    pub reason: String,
    /// The seL4 release that has the change, or that it is ours.
    pub origin: String,
    /// How its presence is proved: by the boot probe or on the built image.
    pub proof: String,
    /// The replacements, applied in this order.
    #[serde(rename = "replacement")]
    pub replacements: Vec<Replacement>,
}

/// Reads all edits of `kernel/edits/`, in order of their numbers.
///
/// # Errors
/// [`Error::Io`] or [`Error::BadData`] about a data file.
pub fn edits(repo_root: &Path) -> Result<Vec<Edit>, Error> {
    let dir = repo_root.join("kernel/edits");
    let mut edits = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
        let path = entry.map_err(Error::io("read", &dir))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            edits.push(read_edit(&path)?);
        }
    }
    edits.sort_by_key(|edit| edit.id);
    match edits.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => Err(Error::data(&dir, format!("two files define the edit {}", pair[0].id))),
        None => Ok(edits),
    }
}

fn read_edit(path: &Path) -> Result<Edit, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let edit: Edit = toml::from_str(&text).map_err(|e| Error::data(path, e))?;
    let expected = format!("{}.toml", edit.id.to_string().to_lowercase());
    if path.file_name().is_none_or(|name| name != expected.as_str()) {
        return Err(Error::data(
            path,
            format!("holds the edit {}; rename it to {expected}", edit.id),
        ));
    }
    Ok(edit)
}

/// Applies `edit` to the tree at `tree`.
///
/// # Errors
/// [`Error::EditMismatch`] if a `find` text does not occur exactly once.
pub(crate) fn apply(edit: &Edit, tree: &Path) -> Result<(), Error> {
    for replacement in &edit.replacements {
        let path = tree.join(&replacement.file);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let changed = replace_once(&text, replacement).map_err(|matches| Error::EditMismatch {
            edit: edit.id,
            file: replacement.file.clone(),
            matches,
            find: replacement
                .find
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("")
                .trim()
                .to_owned(),
        })?;
        fs::write(&path, changed).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// Returns the changed text, or how often `find` occurs if that is not once.
fn replace_once(text: &str, replacement: &Replacement) -> Result<String, usize> {
    match text.matches(&replacement.find).count() {
        1 if !replacement.find.is_empty() => {
            Ok(text.replacen(&replacement.find, &replacement.replace, 1))
        }
        matches => Err(matches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacement(find: &str) -> Replacement {
        Replacement { file: "f.c".into(), find: find.into(), replace: "new".into() }
    }

    #[test]
    fn replaces_a_single_match() {
        assert_eq!(replace_once("a old b", &replacement("old")), Ok("a new b".into()));
    }

    #[test]
    fn refuses_none_several_and_the_empty_text() {
        assert_eq!(replace_once("a b", &replacement("old")), Err(0));
        assert_eq!(replace_once("old old", &replacement("old")), Err(2));
        assert!(replace_once("abc", &replacement("")).is_err());
    }

    /// Applies `edits` to the package's files in memory.
    fn apply_in_memory<'a>(
        edits: impl Iterator<Item = &'a Edit>,
        tree: &Path,
    ) -> Result<(), String> {
        let mut files = std::collections::BTreeMap::new();
        for edit in edits {
            for replacement in &edit.replacements {
                let text = files.entry(&replacement.file).or_insert_with(|| {
                    fs::read_to_string(tree.join(&replacement.file))
                        .expect("file of the kernel tree")
                });
                *text = replace_once(text, replacement).map_err(|matches| {
                    format!("{} in {}: {matches} matches", edit.id, replacement.file)
                })?;
            }
        }
        Ok(())
    }

    #[test]
    fn edits_apply_together_and_without_any_one_of_them() {
        let repo_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let package =
            crate::sources_dir(&repo_root, crate::KERNEL_PACKAGE).expect("kernel sources");
        let tree = package.join("seL4");
        let edits = edits(&repo_root).expect("edits");
        assert_eq!(apply_in_memory(edits.iter(), &tree), Ok(()));
        for omitted in edits.iter().map(|edit| edit.id) {
            let kept = edits.iter().filter(|edit| edit.id != omitted);
            assert_eq!(apply_in_memory(kept, &tree), Ok(()), "without {omitted}");
        }
    }

    /// The rows of the documentation's table, from E1 on without a gap.
    #[test]
    fn edits_are_those_of_the_documentation() {
        let repo_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(repo_root.join("docs/kernel.md")).expect("docs/kernel.md");
        let row = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
        let documented: Vec<EditId> = page.lines().filter_map(row).collect();
        let read: Vec<EditId> =
            edits(&repo_root).expect("edits").iter().map(|edit| edit.id).collect();
        assert!(!read.is_empty());
        assert_eq!(read, (1..=read.len() as u8).map(EditId).collect::<Vec<_>>());
        assert_eq!(read, documented);
    }

    #[test]
    fn edit_names_parse_and_print() {
        assert_eq!("E8".parse::<EditId>().map(|id| id.to_string()), Ok("E8".to_owned()));
        assert!("8".parse::<EditId>().is_err() && "E".parse::<EditId>().is_err());
    }
}
