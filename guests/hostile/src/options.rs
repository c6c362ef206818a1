//! What the command line asks for.

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Decides what is random.
    pub seed: u64,
    /// Strings of random code.
    pub bytes: u64,
    /// Of the selectors beyond the tables, one in so many is tried.
    pub selectors: u64,
    /// Watch registers instead, with patterns made of this number.
    pub watch: Option<u64>,
}

impl Options {
    /// Reads the words of a command line.
    ///
    /// # Errors
    /// The first word that says nothing known.
    pub fn from_command_line(line: &str) -> Result<Self, &str> {
        let mut options = Self { seed: 1, bytes: 10_000, selectors: 97, watch: None };
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').ok_or(word)?;
            let value: u64 = value.parse().map_err(|_| word)?;
            match key {
                "seed" => options.seed = value,
                "bytes" => options.bytes = value,
                "selectors" => options.selectors = value.max(1),
                "watch" => options.watch = Some(value),
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
        let options = Options::from_command_line("seed=7 selectors=0 watch=3").unwrap();
        assert_eq!((options.seed, options.selectors), (7, 1));
        assert_eq!(options.watch, Some(3));
        assert_eq!(Options::from_command_line("").unwrap().watch, None);
    }

    #[test]
    fn unknown_words_are_told() {
        for line in ["seed=x", "byte=1", "watch"] {
            assert_eq!(Options::from_command_line(line), Err(line));
        }
    }
}
