//! Typed access to TOML tables, guided by the [schema](super::schema).
//!
//! Everything that needs only one value is checked here: unknown keys, types,
//! choices, limits of integers, sizes. A bad value is reported once and then
//! counts as absent, so that one run finds as many mistakes as possible.

use toml::Spanned as TomlSpanned;
use toml::de::{DeInteger, DeTable, DeValue};

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
        self.list.push(Diagnostic { problem, key: key.into(), at: Some(at), other });
    }
}

/// A table of the schema's section, in a file.
pub(super) struct Entries<'t> {
    table: &'t DeTable<'t>,
    section: &'static Section,
    at: At,
    /// Its own key, in front of those of its entries in messages.
    prefix: String,
}

impl<'t> Entries<'t> {
    /// `table` as a `section`; reports keys that it should not have.
    pub(super) fn open(
        table: &'t DeTable<'t>,
        section: &'static Section,
        at: At,
        prefix: String,
        report: &mut Report,
    ) -> Self {
        for key in table.keys().filter(|key| section.key(key.get_ref()).is_none()) {
            let name = key.get_ref().as_ref();
            let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
            let nearest = nearest(name, known.iter().copied());
            let problem =
                Problem::UnknownKey { key: name.to_owned(), noun: section.noun, nearest, known };
            report.add(problem, join(&prefix, name), place(at.file, key));
        }
        Self { table, section, at, prefix }
    }

    /// Where the table was opened.
    pub(super) fn at(&self) -> At {
        self.at
    }

    /// Where the key `name` was written.
    pub(super) fn key_at(&self, name: &str) -> Option<At> {
        self.table.keys().find(|key| key.get_ref() == name).map(|key| place(self.at.file, key))
    }

    /// The value of `name`, as `convert` takes it; reports another type.
    fn get<T>(
        &self,
        name: &'static str,
        report: &mut Report,
        convert: impl FnOnce(&'t DeValue<'t>, Kind) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let key = self.section.key(name).expect("the schema has every key that is read");
        let (_, value) = self.table.iter().find(|(written, _)| written.get_ref() == name)?;
        let at = place(self.at.file, value);
        match convert(value.get_ref(), key.kind) {
            Some(value) => Some(Spanned { value, at }),
            None => {
                report.add(wrong_type(key, value.get_ref()), join(&self.prefix, name), at);
                None
            }
        }
    }

    /// The string `name`; for a choice, one of its values.
    pub(super) fn text(&self, name: &'static str, report: &mut Report) -> Option<Spanned<String>> {
        let text = self.get(name, report, |value, kind| Some((value.as_str()?, kind)))?;
        let (Spanned { value: (value, kind), at }, key) = (text, join(&self.prefix, name));
        if let Kind::Choice(known) = kind
            && !known.contains(&value)
        {
            let nearest = nearest(value, known.iter().copied());
            report.add(Problem::UnknownValue { value: value.to_owned(), nearest, known }, key, at);
            return None;
        }
        Some(Spanned { value: value.to_owned(), at })
    }

    /// The integer `name`, inside its limits.
    pub(super) fn integer(&self, name: &'static str, report: &mut Report) -> Option<Spanned<u64>> {
        let Spanned { value: (integer, min, max, why), at } =
            self.get(name, report, |value, kind| match (value.as_integer(), kind) {
                (Some(integer), Kind::Integer { min, max, why }) => Some((integer, min, max, why)),
                _ => None,
            })?;
        match number(integer) {
            Some(value) if (min..=max).contains(&value) => Some(Spanned { value, at }),
            _ => {
                let problem = Problem::OutOfRange { value: integer.to_string(), min, max, why };
                report.add(problem, join(&self.prefix, name), at);
                None
            }
        }
    }

    /// The boolean `name`.
    pub(super) fn boolean(&self, name: &'static str, report: &mut Report) -> Option<bool> {
        let found = self.get(name, report, |value, _| value.as_bool())?;
        Some(found.value)
    }

    /// The size `name` in bytes.
    pub(super) fn size(&self, name: &'static str, report: &mut Report) -> Option<Spanned<u64>> {
        let Spanned { value: text, at } = self.get(name, report, |value, _| value.as_str())?;
        match Size::parse(text) {
            Ok(size) => Some(Spanned { value: size.0, at }),
            Err(error) => {
                let problem = Problem::SizeSyntax { text: text.to_owned(), error };
                report.add(problem, join(&self.prefix, name), at);
                None
            }
        }
    }

    /// The strings of the array `name`.
    pub(super) fn texts(
        &self,
        name: &'static str,
        report: &mut Report,
    ) -> Option<Vec<Spanned<String>>> {
        let text = |element: &TomlSpanned<DeValue<'_>>| {
            let value = element.get_ref().as_str()?.to_owned();
            Some(Spanned { value, at: place(self.at.file, element) })
        };
        let texts =
            self.get(name, report, |value, _| value.as_array()?.iter().map(text).collect())?;
        Some(texts.value)
    }

    /// The table `name`.
    pub(super) fn table(&self, name: &'static str, report: &mut Report) -> Option<Self> {
        let Spanned { value: (table, section), at } =
            self.get(name, report, |value, kind| match (value.as_table(), kind) {
                (Some(table), Kind::Table(section)) => Some((table, section)),
                _ => None,
            })?;
        Some(Self::open(table, section, at, join(&self.prefix, name), report))
    }

    /// The tables of the array `name`, not yet opened.
    pub(super) fn tables(
        &self,
        name: &'static str,
        report: &mut Report,
    ) -> Vec<(&'t DeTable<'t>, At)> {
        let table = |element: &'t TomlSpanned<DeValue<'t>>| {
            Some((element.get_ref().as_table()?, place(self.at.file, element)))
        };
        let tables =
            self.get(name, report, |value, _| value.as_array()?.iter().map(table).collect());
        tables.map_or_else(Vec::new, |tables| tables.value)
    }

    /// Reports that the key `name` is missing, unless it is there.
    pub(super) fn require(&self, name: &'static str, report: &mut Report) {
        if let (None, Some(key)) = (self.key_at(name), self.section.key(name)) {
            let problem = Problem::MissingKey { key: name, noun: self.section.noun, doc: key.doc };
            report.add(problem, &self.prefix, self.at);
        }
    }
}

/// The key `name` under `prefix`.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
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
    At { file, start: span.start as u32, end: span.end as u32 }
}

fn number(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn wrong_type(key: &Key, value: &DeValue<'_>) -> Problem {
    let name = key.name;
    let (expected, example) = match key.kind {
        Kind::Text => ("a string", format!("`{name} = \"…\"`")),
        Kind::Choice(known) => ("a string", format!("`{name} = \"{}\"`", known[0])),
        Kind::Size => ("a size in quotes", format!("`{name} = \"32 MiB\"`")),
        Kind::Integer { min, .. } => ("an integer", format!("`{name} = {}`", min.max(1))),
        Kind::Boolean => ("a boolean", format!("`{name} = false`, without quotes")),
        Kind::Texts => ("an array of strings", format!("`{name} = [\"…\"]`")),
        Kind::Table(_) => ("a table", format!("`{name} = {{ … }}`, or `[{name}]`")),
        Kind::Tables(_) => {
            ("an array of tables", format!("`[[{name}]]`, with two brackets on each side"))
        }
    };
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) if matches!(key.kind, Kind::Texts | Kind::Tables(_)) => {
            "an array that holds something else"
        }
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    Problem::WrongType { expected, found, example }
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
