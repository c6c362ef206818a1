//! One file of a manifest, and the merging of files.
//!
//! A fragment is read before the file that inherits it. Scalars that are
//! written later win, key by key inside `[machine]`; arrays of tables are
//! appended. A fragment that is inherited twice counts once.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::problem::Problem;
use super::reader::{Entries, Report};
use super::schema::{GUEST, INJECT, SCHEMA, TOP};
use super::source::{At, Files, Spanned, resolve};

/// The most levels of fragments.
const MAX_DEPTH: usize = 4;

/// The keys of one file, or of several merged.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) name: Option<Spanned<String>>,
    pub(super) memory: Option<Spanned<u64>>,
    pub(super) profile: Option<Spanned<String>>,
    pub(super) cpu: Option<Spanned<String>>,
    pub(super) guests: Vec<GuestEntry>,
    pub(super) injections: Vec<InjectionEntry>,
}

/// A `[[guest]]`.
#[derive(Debug)]
pub(super) struct GuestEntry {
    /// The file that names its image.
    pub(super) file: PathBuf,
    pub(super) at: At,
    /// Prefix of its keys in messages.
    pub(super) prefix: String,
    pub(super) name: Option<Spanned<String>>,
    pub(super) platform: Option<Spanned<String>>,
    /// Those of `image`, `build` and `solo5-test` that are there, in the
    /// order of the file, with the place of the key.
    pub(super) sources: Vec<(&'static str, At, Option<Spanned<String>>)>,
    pub(super) memory: Option<Spanned<u64>>,
    pub(super) args: Vec<Spanned<String>>,
    pub(super) vcpus: Option<Spanned<u64>>,
    pub(super) priority: Option<Spanned<u64>>,
    pub(super) rewrite: Option<bool>,
    pub(super) tables: Option<Spanned<u64>>,
    pub(super) spaces: Option<Spanned<u64>>,
    pub(super) extra_copies: Option<Spanned<u64>>,
    pub(super) trace: Option<Spanned<u64>>,
    pub(super) audit: Option<Spanned<u64>>,
    pub(super) budget: Option<Spanned<u64>>,
}

/// An `[[inject]]`.
#[derive(Debug)]
pub(super) struct InjectionEntry {
    pub(super) at: At,
    pub(super) guest: Option<Spanned<String>>,
    pub(super) process: Option<Spanned<String>>,
    pub(super) after_faults: Option<Spanned<u64>>,
}

impl Document {
    fn merge(&mut self, later: Self) {
        fn replace<T>(old: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *old = new;
            }
        }
        replace(&mut self.name, later.name);
        replace(&mut self.memory, later.memory);
        replace(&mut self.profile, later.profile);
        replace(&mut self.cpu, later.cpu);
        self.guests.extend(later.guests);
        self.injections.extend(later.injections);
    }
}

/// Reads a manifest and its fragments.
pub(super) struct Loader<'f> {
    pub(super) files: &'f dyn Files,
    pub(super) report: Report,
    /// Files being read, outermost first.
    open: Vec<PathBuf>,
    /// Files that have been read.
    done: Vec<PathBuf>,
    /// The manifest's own place, for problems of the system as a whole.
    pub(super) top: Option<At>,
}

impl<'f> Loader<'f> {
    pub(super) fn new(files: &'f dyn Files) -> Self {
        Self { files, report: Report::default(), open: Vec::new(), done: Vec::new(), top: None }
    }

    /// Reads `path`, which `from` names, and what it inherits.
    pub(super) fn read(&mut self, path: &Path, from: Option<At>) -> Document {
        let mut document = Document::default();
        if self.done.iter().any(|done| done == path) {
            return document;
        }
        let Some((text, file)) = self.text(path, from) else {
            return document;
        };
        let table = match DeTable::parse(&text) {
            Ok(table) => table,
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let at = At { file, start: span.start as u32, end: span.end as u32 };
                self.report.add(Problem::Syntax { message: error.message().to_owned() }, "", at);
                return document;
            }
        };
        let start = At { file, start: 0, end: text.lines().next().map_or(0, str::len) as u32 };
        self.top.get_or_insert(start);
        let top = Entries::open(table.get_ref(), &TOP, start, String::new(), &mut self.report);
        if !self.schema_fits(&top) {
            return document;
        }
        self.open.push(path.to_owned());
        for fragment in top.texts("inherit", &mut self.report).unwrap_or_default() {
            if let Some(fragment_path) = self.enter(path, &fragment) {
                let inherited = self.read(&fragment_path, Some(fragment.at));
                document.merge(inherited);
            }
        }
        self.open.pop();
        self.done.push(path.to_owned());
        document.merge(self.document(path, &top));
        document
    }

    fn text(&mut self, path: &Path, from: Option<At>) -> Option<(String, u32)> {
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let problem = Problem::FileUnreadable {
                    path: path.display().to_string(),
                    error: error.to_string(),
                };
                let key = if from.is_some() { "inherit" } else { "" };
                let diagnostic =
                    super::Diagnostic { problem, key: key.to_owned(), at: from, other: None };
                self.report.list.push(diagnostic);
                return None;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let file = self.report.sources.add(path, text.clone());
                Some((text, file))
            }
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let line = text[..good].matches('\n').count() + 1;
                let file = self.report.sources.add(path, text);
                let at = At { file, start: good as u32, end: good as u32 + 1 };
                self.report.add(Problem::FileNotUtf8 { line }, "", at);
                None
            }
        }
    }

    fn schema_fits(&mut self, top: &Entries<'_>) -> bool {
        if top.key_at("schema").is_none() {
            self.report.add(Problem::SchemaMissing, "schema", top.at());
            return false;
        }
        match top.integer("schema", &mut self.report) {
            Some(found) if found.value != SCHEMA => {
                self.report.add(
                    Problem::SchemaUnsupported { found: found.value },
                    "schema",
                    found.at,
                );
                false
            }
            found => found.is_some(),
        }
    }

    /// The path of a fragment that `file` inherits, unless that may not be.
    fn enter(&mut self, file: &Path, fragment: &Spanned<String>) -> Option<PathBuf> {
        let path = resolve(file, &fragment.value);
        let problem = if self.open.contains(&path) {
            Problem::InheritCycle { path: path.display().to_string() }
        } else if self.open.len() > MAX_DEPTH {
            Problem::InheritDepth { limit: MAX_DEPTH }
        } else {
            return Some(path);
        };
        self.report.add(problem, "inherit", fragment.at);
        None
    }

    /// The keys of `path` alone.
    fn document(&mut self, path: &Path, top: &Entries<'_>) -> Document {
        let report = &mut self.report;
        let mut document = Document { name: top.text("name", report), ..Document::default() };
        if let Some(machine) = top.table("machine", report) {
            document.memory = machine.size("memory", report);
            document.profile = machine.text("profile", report);
            document.cpu = machine.text("cpu", report);
        }
        for (index, (table, at)) in top.tables("guest", report).into_iter().enumerate() {
            document.guests.push(guest(path, index, table, at, report));
        }
        for (index, (table, at)) in top.tables("inject", report).into_iter().enumerate() {
            document.injections.push(injection(index, table, at, report));
        }
        document
    }
}

fn guest(
    file: &Path,
    index: usize,
    table: &DeTable<'_>,
    at: At,
    report: &mut Report,
) -> GuestEntry {
    let name = table.iter().find(|(key, _)| key.get_ref() == "name");
    let prefix = match name.and_then(|(_, name)| name.get_ref().as_str()) {
        Some(name) if !name.is_empty() => format!("guest.{name}"),
        _ => format!("guest[{index}]"),
    };
    let entries = Entries::open(table, &GUEST, at, prefix.clone(), report);
    entries.require("name", report);
    let mut sources: Vec<_> = ["image", "build", "solo5-test"]
        .into_iter()
        .filter_map(|key| Some((key, entries.key_at(key)?, entries.text(key, report))))
        .collect();
    sources.sort_by_key(|(_, at, _)| *at);
    let mut guest = GuestEntry {
        file: file.to_owned(),
        at: entries.at(),
        name: entries.text("name", report),
        platform: entries.text("platform", report),
        sources,
        memory: entries.size("memory", report),
        args: entries.texts("args", report).unwrap_or_default(),
        vcpus: entries.integer("vcpus", report),
        priority: entries.integer("priority", report),
        rewrite: entries.boolean("rewrite", report),
        tables: None,
        spaces: None,
        extra_copies: None,
        trace: None,
        audit: None,
        budget: None,
        prefix,
    };
    if let Some(shadow) = entries.table("shadow", report) {
        guest.tables = shadow.integer("tables", report);
        guest.spaces = shadow.integer("spaces", report);
        guest.extra_copies = shadow.integer("extra-copies", report);
        guest.trace = shadow.integer("trace", report);
        guest.audit = shadow.integer("audit", report);
        guest.budget = shadow.integer("budget", report);
    }
    guest
}

fn injection(index: usize, table: &DeTable<'_>, at: At, report: &mut Report) -> InjectionEntry {
    let prefix = format!("inject[{index}]");
    let entries = Entries::open(table, &INJECT, at, prefix, report);
    entries.require("guest", report);
    entries.require("process", report);
    InjectionEntry {
        at,
        guest: entries.text("guest", report),
        process: entries.text("process", report),
        after_faults: entries.integer("after-faults", report),
    }
}
