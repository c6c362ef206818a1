//! Typed access to TOML tables, guided by the [schema](super::schema).
//!
//! Everything that needs only one value is checked here: unknown keys, types,
//! choices, limits of integers, sizes. A bad value is reported once and then
//! counts as absent, so that one run finds as many mistakes as possible.

use toml::Spanned as TomlSpanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::diagnostics::Diagnostic;
use super::problem::Problem;
use super::schema::{Key, Kind, Section};
use super::size::Size;
use super::source::{At, Sources, Spanned};

/// What has been read and found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) sources: Sources,
    pub(super) list: Vec<Diagnostic>,
}

impl Report {
    pub(super) fn add(&mut self, problem: Problem, key: impl Into<String>, at: At) {
        self.add_with(problem, key, at, None);
    }

    pub(super) fn add_with(
        &mut self,
        problem: Problem,
        key: impl Into<String>,
        at: At,
        other: Option<(At, &'static str)>,
    ) {
        self.list.push(Diagnostic {
            problem,
            key: key.into(),
            at: Some(at),
            other,
        });
    }
}

/// A table of the schema's section, in a file.
#[derive(Clone, Copy)]
pub(super) struct Entries<'t> {
    table: &'t DeTable<'t>,
    section: &'static Section,
    file: u32,
    at: At,
}

impl<'t> Entries<'t> {
    /// `table` as a `section`; reports keys that it should not have.
    pub(super) fn open(
        table: &'t DeTable<'t>,
        section: &'static Section,
        at: At,
        prefix: &str,
        report: &mut Report,
    ) -> Self {
        for key in table
            .keys()
            .filter(|key| section.key(key.get_ref()).is_none())
        {
            let name = key.get_ref().as_ref();
            let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
            let nearest = nearest(name, known.iter().copied());
            let problem = Problem::UnknownKey {
                key: name.to_owned(),
                noun: section.noun,
                nearest,
                known,
            };
            report.add(problem, join(prefix, name), place(at.file, key));
        }
        Self {
            table,
            section,
            file: at.file,
            at,
        }
    }

    /// Where the table was opened.
    pub(super) fn at(&self) -> At {
        self.at
    }

    /// Where the key `name` was written.
    pub(super) fn key_at(&self, name: &str) -> Option<At> {
        self.table
            .keys()
            .find(|key| key.get_ref() == name)
            .map(|key| place(self.file, key))
    }

    fn find(&self, name: &'static str) -> Option<(&'static Key, &'t DeValue<'t>, At)> {
        let key = self
            .section
            .key(name)
            .expect("the schema has every key that is read");
        let (_, value) = self
            .table
            .iter()
            .find(|(written, _)| written.get_ref() == name)?;
        Some((key, value.get_ref(), place(self.file, value)))
    }

    /// The string `name`; for a choice, one of its values.
    pub(super) fn text(
        &self,
        name: &'static str,
        prefix: &str,
        report: &mut Report,
    ) -> Option<Spanned<String>> {
        let (key, value, at) = self.find(name)?;
        let Some(text) = value.as_str() else {
            return wrong_type(key, value, at, prefix, report);
        };
        if let Kind::Choice(known) = key.kind
            && !known.contains(&text)
        {
            let nearest = nearest(text, known.iter().copied());
            report.add(
                Problem::UnknownValue {
                    value: text.to_owned(),
                    nearest,
                    known,
                },
                join(prefix, name),
                at,
            );
            return None;
        }
        Some(Spanned {
            value: text.to_owned(),
            at,
        })
    }

    /// The integer `name`, inside its limits.
    pub(super) fn integer(
        &self,
        name: &'static str,
        prefix: &str,
        report: &mut Report,
    ) -> Option<Spanned<u64>> {
        let (key, value, at) = self.find(name)?;
        let (Some(integer), Kind::Integer { min, max, why }) = (value.as_integer(), key.kind)
        else {
            return wrong_type(key, value, at, prefix, report);
        };
        match number(integer) {
            Some(value) if (min..=max).contains(&value) => Some(Spanned { value, at }),
            _ => {
                let problem = Problem::OutOfRange {
                    value: integer.to_string(),
                    min,
                    max,
                    why,
                };
                report.add(problem, join(prefix, name), at);
                None
            }
        }
    }

    /// The size `name` in bytes.
    pub(super) fn size(
        &self,
        name: &'static str,
        prefix: &str,
        report: &mut Report,
    ) -> Option<Spanned<u64>> {
        let (key, value, at) = self.find(name)?;
        let Some(text) = value.as_str() else {
            return wrong_type(key, value, at, prefix, report);
        };
        match Size::parse(text) {
            Ok(size) => Some(Spanned { value: size.0, at }),
            Err(error) => {
                report.add(
                    Problem::SizeSyntax {
                        text: text.to_owned(),
                        error,
                    },
                    join(prefix, name),
                    at,
                );
                None
            }
        }
    }

    /// The strings of the array `name`.
    pub(super) fn texts(
        &self,
        name: &'static str,
        prefix: &str,
        report: &mut Report,
    ) -> Option<Vec<Spanned<String>>> {
        let (key, value, at) = self.find(name)?;
        let Some(array) = value.as_array() else {
            return wrong_type(key, value, at, prefix, report);
        };
        let mut texts = Vec::new();
        for element in array {
            let at = place(self.file, element);
            match element.get_ref().as_str() {
                Some(text) => texts.push(Spanned {
                    value: text.to_owned(),
                    at,
                }),
                None => return wrong_type(key, element.get_ref(), at, prefix, report),
            }
        }
        Some(texts)
    }

    /// The table `name`.
    pub(super) fn table(
        &self,
        name: &'static str,
        prefix: &str,
        report: &mut Report,
    ) -> Option<Self> {
        let (key, value, at) = self.find(name)?;
        let (Some(table), Kind::Table(section)) = (value.as_table(), key.kind) else {
            return wrong_type(key, value, at, prefix, report);
        };
        Some(Self::open(table, section, at, &join(prefix, name), report))
    }

    /// The tables of the array `name`, not yet opened.
    pub(super) fn tables(
        &self,
        name: &'static str,
        report: &mut Report,
    ) -> Vec<(&'t DeTable<'t>, At)> {
        let Some((key, value, at)) = self.find(name) else {
            return Vec::new();
        };
        let tables = |array: &'t DeArray<'t>| -> Option<Vec<_>> {
            array
                .iter()
                .map(|element| Some((element.get_ref().as_table()?, place(self.file, element))))
                .collect()
        };
        match value.as_array().and_then(tables) {
            Some(tables) => tables,
            None => wrong_type::<Vec<_>>(key, value, at, "", report).unwrap_or_default(),
        }
    }

    /// Reports that the key `name` is missing, unless it is there.
    pub(super) fn require(&self, name: &'static str, prefix: &str, report: &mut Report) {
        if let (None, Some(key)) = (self.key_at(name), self.section.key(name)) {
            let problem = Problem::MissingKey {
                key: name,
                noun: self.section.noun,
                doc: key.doc,
            };
            report.add(problem, prefix, self.at);
        }
    }
}

/// The key `name` under `prefix`.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// The one of `known` that `name` was probably meant to be: it takes few slips
/// of the pen to get there, or one is the start of the other.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = name.chars().count().div_ceil(3);
    let distance = |candidate: &str| {
        let is_start = name.len() > 1 && candidate.starts_with(name);
        let slips = strsim::damerau_levenshtein(name, candidate);
        if is_start { 1 } else { slips }
    };
    known
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

fn place<T>(file: u32, spanned: &TomlSpanned<T>) -> At {
    let span = spanned.span();
    At {
        file,
        start: span.start as u32,
        end: span.end as u32,
    }
}

fn number(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn wrong_type<T>(
    key: &Key,
    value: &DeValue<'_>,
    at: At,
    prefix: &str,
    report: &mut Report,
) -> Option<T> {
    let name = key.name;
    let (expected, example) = match key.kind {
        Kind::Text => ("a string", format!("`{name} = \"…\"`")),
        Kind::Choice(known) => ("a string", format!("`{name} = \"{}\"`", known[0])),
        Kind::Size => ("a size in quotes", format!("`{name} = \"32 MiB\"`")),
        Kind::Integer { min, .. } => ("an integer", format!("`{name} = {}`", min.max(1))),
        Kind::Texts => ("an array of strings", format!("`{name} = [\"…\"]`")),
        Kind::Table(_) => ("a table", format!("`{name} = {{ … }}`, or `[{name}]`")),
        Kind::Tables(_) => (
            "an array of tables",
            format!("`[[{name}]]`, with two brackets on each side"),
        ),
    };
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    report.add(
        Problem::WrongType {
            expected,
            found,
            example,
        },
        join(prefix, name),
        at,
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_near() {
        let known = ["memory", "name", "platform", "pc64", "solo5-hvt"];
        let nearest = |name| nearest(name, known.iter().copied());
        assert_eq!(nearest("memroy"), Some("memory"));
        assert_eq!(nearest("Name"), Some("name"));
        assert_eq!(nearest("pc"), Some("pc64"));
        assert_eq!(nearest("solo5"), Some("solo5-hvt"));
        assert_eq!(nearest("p"), None);
        assert_eq!(nearest("flavour"), None);
        assert_eq!(nearest(""), None);
    }
}
