//! Problems with their places, and how people and programs see them.

use std::fmt;

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str,
};
use serde::Serialize;

use super::problem::Problem;
use super::source::{At, Sources};

/// A problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub problem: Problem,
    /// The key, such as `guest.web.memory`; empty for a whole file.
    pub key: String,
    /// Where it was written; `None` if the manifest itself cannot be read.
    pub at: Option<At>,
    /// Another place that matters, and what is there.
    pub other: Option<(At, &'static str)>,
}

/// A diagnostic as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// [`Problem::code`].
    pub code: &'static str,
    /// The file, if any could be read.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The key.
    pub key: String,
    /// The text at the place.
    pub value: Option<String>,
    /// What is wrong.
    pub what: String,
    /// Why it is refused.
    pub why: String,
    /// What to do.
    pub fix: String,
}

/// One or more problems, and the files that they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    sources: Sources,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Problems in the order of files and lines.
    pub(super) fn new(sources: Sources, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.at);
        Self { sources, list }
    }

    /// The problems, in the order of files and lines.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// The problems as text for a terminal (`colour`) or a file.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let reports: Vec<String> =
            self.list.iter().map(|diagnostic| self.render_one(diagnostic, &renderer)).collect();
        reports.join("\n\n")
    }

    fn render_one(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let words = diagnostic.problem.wording();
        let title = match diagnostic.key.as_str() {
            "" => words.what,
            key => format!("{key}: {}", words.what),
        };
        let title = Level::ERROR.primary_title(harmless(&title)).id(diagnostic.problem.code());
        let why = harmless(&words.why);
        let mut group = Group::with_title(title);
        match diagnostic.at {
            Some(at) => {
                let here = AnnotationKind::Primary.span(self.sources.range(at)).label(why);
                let other = diagnostic.other.map(|(other, label)| {
                    (
                        other.file,
                        AnnotationKind::Context.span(self.sources.range(other)).label(label),
                    )
                });
                let (same, elsewhere): (Vec<_>, Vec<_>) =
                    other.into_iter().partition(|(file, _)| *file == at.file);
                let same = same.into_iter().map(|(_, annotation)| annotation);
                group = group.element(self.snippet(at.file).annotation(here).annotations(same));
                for (file, annotation) in elsewhere {
                    group = group.element(self.snippet(file).annotation(annotation));
                }
            }
            None => group = group.element(Level::NOTE.message(why)),
        }
        renderer.render(&[group.element(Level::HELP.message(harmless(&words.fix)))])
    }

    fn snippet<'s>(&'s self, file: u32) -> Snippet<'s, Annotation<'s>> {
        let source = self.sources.get(file);
        Snippet::source(&source.text).path(&source.path)
    }

    /// The problems as records.
    pub fn records(&self) -> Vec<Record> {
        self.list.iter().map(|diagnostic| self.record(diagnostic)).collect()
    }

    fn record(&self, diagnostic: &Diagnostic) -> Record {
        let words = diagnostic.problem.wording();
        let position = diagnostic.at.map(|at| self.sources.position(at));
        Record {
            code: diagnostic.problem.code(),
            file: position.map(|(file, _, _)| file.to_owned()),
            line: position.map(|(_, line, _)| line),
            column: position.map(|(_, _, column)| column),
            key: diagnostic.key.clone(),
            value: diagnostic.at.map(|at| self.sources.text(at).to_owned()),
            what: words.what,
            why: words.why,
            fix: words.fix,
        }
    }

    /// The problems as a JSON array.
    pub fn render_json(&self) -> String {
        serde_json::to_string_pretty(&self.records()).expect("records hold only texts and numbers")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// `text` without characters that could steer a terminal or break the line:
/// it may hold what somebody put into a manifest.
fn harmless(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character.is_control() {
            true => escaped.extend(character.escape_debug()),
            false => escaped.push(character),
        }
    }
    normalize_untrusted_str(&escaped)
}
