//! The files of a manifest, and places in them.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

/// A run of bytes of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub(super) file: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) at: At,
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Path as messages show it.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

/// The files that a manifest was read from: itself and its fragments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

impl Sources {
    pub(super) fn add(&mut self, path: &Path, text: String) -> u32 {
        self.0.push(Source { path: path.display().to_string(), text });
        (self.0.len() - 1) as u32
    }

    pub(super) fn get(&self, file: u32) -> &Source {
        &self.0[file as usize]
    }

    /// The bytes of `at`, widened to whole characters and cut to the file.
    pub(super) fn range(&self, at: At) -> Range<usize> {
        let text = &self.get(at.file).text;
        let start = text.floor_char_boundary(at.start as usize);
        start..text.ceil_char_boundary(at.end as usize).max(start)
    }

    /// The text at `at`.
    pub fn text(&self, at: At) -> &str {
        &self.get(at.file).text[self.range(at)]
    }

    /// The path, line and column (both from 1, column in characters) of `at`.
    pub fn position(&self, at: At) -> (&str, usize, usize) {
        let source = self.get(at.file);
        let before = &source.text[..self.range(at).start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (&source.path, line, before[line_start..].chars().count() + 1)
    }
}

/// Where manifests and the files that they name are read from.
pub trait Files {
    /// The bytes of the file `path`.
    ///
    /// # Errors
    /// As [`std::fs::read`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The bytes that the regular file `path` has.
    ///
    /// # Errors
    /// As [`std::fs::metadata`], or if it is no regular file.
    fn length(&self, path: &Path) -> io::Result<u64>;
}

/// The file system.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let metadata = std::fs::metadata(path)?;
        if metadata.is_file() {
            Ok(metadata.len())
        } else {
            Err(io::Error::other("it is not a regular file"))
        }
    }
}

/// Files in memory, for manifests that are generated and for tests.
#[derive(Clone, Debug, Default)]
pub struct InMemory(pub BTreeMap<PathBuf, Vec<u8>>);

impl Files for InMemory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.read(path).map(|bytes| bytes.len() as u64)
    }
}

/// `path` as written in `file`, without `.` and `..` where that needs no look
/// at the disk.
pub(super) fn resolve(file: &Path, path: &str) -> PathBuf {
    let joined = file.parent().unwrap_or(Path::new("")).join(path);
    let mut plain = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(plain.components().next_back(), Some(Component::Normal(_))) =>
            {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let file = Path::new("manifests/a/x.toml");
        assert_eq!(resolve(file, "y.toml"), Path::new("manifests/a/y.toml"));
        assert_eq!(resolve(file, "./../y.toml"), Path::new("manifests/y.toml"));
        assert_eq!(resolve(file, "/y.toml"), Path::new("/y.toml"));
        assert_eq!(resolve(Path::new("x.toml"), "../y.toml"), Path::new("../y.toml"));
        assert_eq!(resolve(Path::new("../x.toml"), "../y.toml"), Path::new("../../y.toml"));
    }

    #[test]
    fn positions_count_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("x"), "a = 1\n\u{e9} = 2\n".to_owned());
        let at = At { file, start: 11, end: 12 };
        assert_eq!(sources.text(at), "2");
        assert_eq!(sources.position(at), ("x", 2, 5));
    }

    #[test]
    fn places_are_widened_to_characters_and_cut_to_the_file() {
        let mut sources = Sources::default();
        let file = sources.add(Path::new("x"), "\u{e9}\u{e9}".to_owned());
        let range = |start, end| sources.range(At { file, start, end });
        assert_eq!(range(1, 1), 0..2);
        assert_eq!(range(1, 3), 0..4);
        assert_eq!(range(9, 12), 4..4);
    }
}
