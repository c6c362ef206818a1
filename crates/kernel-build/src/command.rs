//! Runs the programs of the build and turns their failures into errors that
//! show the command and its last words.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::error::Error;

/// Lines of a failed command's error output that are worth showing.
const LAST_WORDS: usize = 30;

/// One program call in the making.
pub(crate) struct Call {
    step: &'static str,
    command: Command,
}

impl Call {
    /// Starts a call of `program`; `step` names it in an error.
    pub(crate) fn new(step: &'static str, program: impl AsRef<OsStr>) -> Call {
        Call { step, command: Command::new(program) }
    }

    /// Appends one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Call {
        self.command.arg(arg);
        self
    }

    /// Appends arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Call {
        self.command.args(args);
        self
    }

    /// Runs in `dir`.
    pub(crate) fn dir(mut self, dir: &Path) -> Call {
        self.command.current_dir(dir);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Call {
        self.command.env(key, value);
        self
    }

    /// Runs the program and returns its standard output.
    ///
    /// # Errors
    /// [`Error::ToolFailed`] if it cannot be started or exits with a failure.
    pub(crate) fn run(mut self) -> Result<Vec<u8>, Error> {
        let failed = |command: &Command, output: String| Error::ToolFailed {
            step: self.step,
            command: shell_line(command),
            output,
        };
        let output = self.command.output().map_err(|e| failed(&self.command, e.to_string()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
        Err(failed(&self.command, format!("{tail}\n({})", output.status)))
    }
}

/// Returns the command as one line that can be pasted into a shell.
fn shell_line(command: &Command) -> String {
    let mut line = String::new();
    if let Some(dir) = command.get_current_dir() {
        line.push_str(&format!("cd {} && ", quote(dir.as_os_str())));
    }
    line.push_str(&quote(command.get_program()));
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&quote(arg));
    }
    line
}

/// Quotes one word for a POSIX shell.
fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_shows_command_and_last_words() {
        let error =
            Call::new("try", "sh").args(["-c", "echo a word >&2; exit 3"]).run().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c 'echo a word >&2; exit 3'"), "{text}");
        assert!(text.contains("a word\n") && text.contains('3'), "{text}");
    }

    #[test]
    fn missing_program_is_reported() {
        let error = Call::new("try", "no-such-program-here").run().unwrap_err();
        assert!(matches!(error, Error::ToolFailed { .. }));
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("a b".as_ref()), "'a b'");
        assert_eq!(quote("it's".as_ref()), r"'it'\''s'");
        assert_eq!(quote("-I/x/y".as_ref()), "-I/x/y");
    }
}
