//! Which rows a guest that counts instructions runs, as the command line says it.

/// The key of the command line's word.
const KEY: &str = "rows=";

/// The rows wanted.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Names separated by commas; `None` for all rows.
    names: Option<&'a str>,
}

impl<'a> Selection<'a> {
    /// Reads `rows=a,b` from the words of a command line.
    pub fn from_command_line(line: &'a str) -> Self {
        Self { names: line.split_ascii_whitespace().find_map(|word| word.strip_prefix(KEY)) }
    }

    /// Whether the row `name` runs.
    pub fn wants(self, name: &str) -> bool {
        self.names.is_none() || self.names_row(name)
    }

    /// Whether the row `name` is wanted by its name.
    pub fn names_row(self, name: &str) -> bool {
        self.names().any(|wanted| wanted == name)
    }

    /// The names that `known` does not know.
    pub fn unknown(self, known: impl Fn(&str) -> bool) -> impl Iterator<Item = &'a str> {
        self.names().filter(move |name| !known(name))
    }

    fn names(self) -> impl Iterator<Item = &'a str> {
        let names = self.names.unwrap_or("").split(',');
        names.filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_all_rows_run() {
        let all = Selection::from_command_line("quiet");
        assert!(all.wants("cpuid"));
        assert!(!all.names_row("cpuid"));
        assert_eq!(all.unknown(|_| false).count(), 0);
    }

    #[test]
    fn named_rows_run_and_no_others() {
        let some = Selection::from_command_line("x rows=cpuid,user_fault,,odd y");
        assert!(some.wants("cpuid") && some.wants("user_fault"));
        assert!(some.names_row("cpuid") && !some.names_row("ptemod"));
        assert!(!some.wants("ptemod") && !some.wants(""));
        assert!(some.unknown(|name| name != "odd").eq(["odd"]));
        assert!(!Selection::from_command_line("rows=").wants("cpuid"));
    }
}
