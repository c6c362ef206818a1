//! A command line that can be run and shown.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::Command;

/// A program and its arguments. `Display` gives a line to paste into a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<OsString>,
}

impl CommandLine {
    /// The program alone.
    pub fn new(program: impl AsRef<OsStr>) -> CommandLine {
        CommandLine { words: vec![program.as_ref().to_owned()] }
    }

    /// Appends arguments.
    pub fn args<I: IntoIterator>(&mut self, args: I)
    where
        I::Item: AsRef<OsStr>,
    {
        self.words.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    }

    /// The command, ready to start.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}", quoted(&word.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// `word` as a POSIX shell needs it: in single quotes unless it is harmless.
fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let mut line = CommandLine::new("echo");
        line.args(["plain", "two words", "it's", ""]);
        assert_eq!(line.to_string(), r"echo plain 'two words' 'it'\''s' ''");
    }

    #[test]
    fn what_is_shown_is_what_runs() {
        let mut line = CommandLine::new("printf");
        line.args(["%s|", "two words", "it's"]);
        let shown = Command::new("sh").args(["-c", &line.to_string()]).output().unwrap();
        assert_eq!(shown.stdout, line.command().output().unwrap().stdout);
        assert_eq!(shown.stdout, b"two words|it's|");
    }
}
