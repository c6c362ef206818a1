//! Which rows run, as the command line says it.

/// The key of the command line's word.
const KEY: &str = "rows=";

/// The rows wanted.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Names separated by commas; `None` for all that do not want to be asked.
    names: Option<&'a str>,
}

impl<'a> Selection<'a> {
    /// Reads `rows=a,b` from the words of a command line.
    pub fn from_command_line(line: &'a str) -> Self {
        Self {
            names: line
                .split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(KEY)),
        }
    }

    /// Whether the row `name` runs; one `on_request` only if it is named.
    pub fn wants(self, name: &str, on_request: bool) -> bool {
        match self.names {
            Some(_) => self.names().any(|wanted| wanted == name),
            None => !on_request,
        }
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
    fn without_a_word_rows_on_request_stay_out() {
        let all = Selection::from_command_line("quiet");
        assert!(all.wants("cpuid", false) && !all.wants("user_fault", true));
        assert_eq!(all.unknown(|_| false).count(), 0);
    }

    #[test]
    fn named_rows_run_and_no_others() {
        let some = Selection::from_command_line("x rows=cpuid,user_fault,,odd y");
        assert!(some.wants("cpuid", false) && some.wants("user_fault", true));
        assert!(!some.wants("ptemod", false) && !some.wants("", false));
        assert!(some.unknown(|name| name != "odd").eq(["odd"]));
    }
}
