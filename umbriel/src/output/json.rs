//! The form for programs: one JSON object a line.
//!
//! `{"record":"output","source":NAME,"line":TEXT}` for each line that a client
//! completed (`source` is empty for text without a prefix), every control
//! record as it came, then one `{"record":"run",…}` and at the very end one
//! `{"record":"guest",…}` for each guest in manifest order. Bytes that are not
//! UTF-8 appear as U+FFFD in `line`, and then `bytes` has them all.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::output::console::Piece;
use crate::output::status::{GuestEnd, MachineEnd};

/// A line of a client.
pub fn output(source: &str, line: &[u8]) -> Value {
    match std::str::from_utf8(line) {
        Ok(text) => json!({"record": "output", "source": source, "line": text}),
        Err(_) => {
            let text = String::from_utf8_lossy(line);
            json!({"record": "output", "source": source, "line": text, "bytes": line})
        }
    }
}

/// How the run ended.
pub fn run(end: MachineEnd, status: u8) -> Value {
    let end = match end {
        MachineEnd::Off => "off",
        MachineEnd::Died => "died",
        MachineEnd::TimedOut => "timed-out",
        MachineEnd::Interrupted => "interrupted",
    };
    json!({"record": "run", "end": end, "status": status})
}

/// How a guest ended; `status` is null and `cause` is "unreported" if nobody said.
pub fn guest(name: &str, end: Option<&GuestEnd>) -> Value {
    match end {
        Some(end) => {
            json!({"record": "guest", "guest": name, "status": end.byte(), "cause": end.cause})
        }
        None => json!({"record": "guest", "guest": name, "status": null, "cause": "unreported"}),
    }
}

/// Writes objects, one a line, and gathers the lines of each client.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    error: Option<io::Error>,
    current: String,
    /// What each client wrote of a line, and whether that line was broken off.
    open: BTreeMap<String, (Vec<u8>, bool)>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines { out, error: None, current: String::new(), open: BTreeMap::new() }
    }

    /// Writes an object; after a failure, nothing more.
    pub fn write(&mut self, value: &Value) {
        if self.error.is_none() {
            let written = writeln!(self.out, "{value}").and_then(|()| self.out.flush());
            self.error = written.err();
        }
    }

    /// Takes a part of COM1. A line is complete when its client begins
    /// another, as only then it is known not to go on.
    pub fn push(&mut self, piece: &Piece) {
        match piece {
            Piece::Start { source, continued } => {
                self.current = source.clone().unwrap_or_default();
                let (_, ended) = self.open.entry(self.current.clone()).or_default();
                if std::mem::take(ended) && !continued {
                    self.complete(&self.current.clone());
                }
            }
            Piece::Text(bytes) => {
                self.open.entry(self.current.clone()).or_default().0.extend(bytes)
            }
            Piece::End => self.open.entry(self.current.clone()).or_default().1 = true,
        }
    }

    /// Writes the lines that are still open.
    pub fn flush_lines(&mut self) {
        let open: Vec<String> = self.open.keys().cloned().collect();
        for source in open {
            let (line, ended) = &self.open[&source];
            if *ended || !line.is_empty() {
                self.complete(&source);
            }
        }
    }

    fn complete(&mut self, source: &str) {
        let (line, _) = self.open.remove(source).unwrap_or_default();
        self.write(&output(source, &line));
    }

    /// Whether everything was written.
    ///
    /// # Errors
    /// The first failure of `out`.
    pub fn result(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::console::ConsoleParser;

    #[test]
    fn interrupted_lines_are_joined() {
        let mut out = Vec::new();
        let mut lines = JsonLines::new(&mut out);
        for piece in ConsoleParser::default().push(b"a| tw\nb| x\na+ o\na| \nb| y") {
            lines.push(&piece);
        }
        lines.flush_lines();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let line = |index: usize| (lines[index]["source"].as_str(), lines[index]["line"].as_str());
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(line(0), (Some("a"), Some("two")));
        assert_eq!(line(1), (Some("b"), Some("x")));
        assert_eq!(line(2), (Some("a"), Some("")));
        assert_eq!(line(3), (Some("b"), Some("y")));
    }

    #[test]
    fn bytes_survive() {
        assert_eq!(
            output("web", b"x\"").to_string(),
            r#"{"line":"x\"","record":"output","source":"web"}"#
        );
        let odd = output("", b"a\xff");
        assert_eq!(odd["bytes"], json!([97, 255]));
        assert_eq!(odd["line"], "a\u{fffd}");
    }

    #[test]
    fn a_guest_without_an_end_is_no_success() {
        assert_eq!(guest("web", None)["status"], Value::Null);
        let end = GuestEnd { status: 0, cause: "exit".into() };
        assert_eq!(guest("web", Some(&end))["status"], 0);
    }
}
