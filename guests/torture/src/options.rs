//! What the command line asks for.

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Decides every operation.
    pub seed: u64,
    /// How many operations.
    pub operations: u64,
    /// The digest is printed after so many operations, and at the end.
    pub every: u64,
    /// Operations from this number on are printed one by one.
    pub trace: u64,
}

impl Options {
    /// Reads `seed=`, `operations=`, `every=` and `trace=` from the words of a
    /// command line.
    ///
    /// # Errors
    /// The first word that says nothing known.
    pub fn from_command_line(line: &str) -> Result<Self, &str> {
        let mut options = Self { seed: 1, operations: 100_000, every: 1_000, trace: u64::MAX };
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').ok_or(word)?;
            let value = value.parse().map_err(|_| word)?;
            match key {
                "seed" => options.seed = value,
                "operations" => options.operations = value,
                "every" => options.every = value.max(1),
                "trace" => options.trace = value,
                _ => return Err(word),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_override_defaults() {
        let options = Options::from_command_line(" seed=7  operations=20 every=0").unwrap();
        assert_eq!((options.seed, options.operations, options.every), (7, 20, 1));
        assert_eq!(Options::from_command_line("").unwrap().seed, 1);
    }

    #[test]
    fn unknown_words_are_told() {
        for line in ["seed=x", "seeds=1", "verbose"] {
            assert_eq!(Options::from_command_line(line), Err(line));
        }
    }
}
