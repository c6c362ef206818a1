//! Control records: one JSON object a line on COM2, from the supervisor only.
//!
//! Records that this version of the tool does not know are kept as they are
//! and shown by `--json`.

use serde::Deserialize;
use serde_json::Value;

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// As it came.
    pub value: Value,
    /// What it says, if this version knows it.
    pub content: Content,
}

impl Record {
    /// Whether it tells of one page fault.
    pub fn is_trace(&self) -> bool {
        self.value["record"] == "trace"
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Content {
    /// The supervisor runs.
    Boot {},
    /// A guest's first vCPU runs.
    GuestStarted {
        /// Its name.
        guest: String,
    },
    /// A guest has ended, for whatever reason.
    GuestEnded {
        /// Its name.
        guest: String,
        /// Its exit status, or the one that stands for its crash.
        status: i64,
        /// `exit`, or why it did not come to that.
        cause: String,
    },
    /// A process died; registers and a backtrace follow in records of their own.
    Crash {
        /// Its name.
        process: String,
        /// What happened.
        fault: String,
    },
    /// Where it was.
    CrashBacktrace(Backtrace),
    /// The supervisor switches the machine off.
    MachineOff {},
    /// A record of a later version.
    #[serde(other)]
    Unknown,
}

/// Where a process was when it died.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Backtrace {
    /// Its name: the program, for a guest's process followed by `/` and the guest.
    pub process: String,
    /// The instruction, then return addresses, innermost first.
    #[serde(rename = "backtrace")]
    pub addresses: Vec<u64>,
}

impl Backtrace {
    /// The program that crashed, without the guest's name.
    pub fn program(&self) -> &str {
        self.process.split_once('/').map_or(self.process.as_str(), |(program, _)| program)
    }
}

/// A line of COM2 that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Splits the bytes of COM2 into records.
#[derive(Debug, Default)]
pub struct RecordParser {
    line: Vec<u8>,
}

impl RecordParser {
    /// Takes the next bytes of COM2.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<Record, Malformed>> {
        let mut records = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => records.extend(parse(&std::mem::take(&mut self.line))),
                byte => self.line.push(*byte),
            }
        }
        records
    }

    /// The end of the port's bytes.
    pub fn finish(&mut self) -> Option<Result<Record, Malformed>> {
        parse(&std::mem::take(&mut self.line))
    }
}

fn parse(line: &[u8]) -> Option<Result<Record, Malformed>> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let malformed = || Malformed(crate::output::escape::escape(line));
    let record = serde_json::from_slice::<Value>(line).ok().and_then(|value| {
        let named = value.get("record").is_some_and(Value::is_string);
        let content = Content::deserialize(&value).ok().filter(|_| named)?;
        Some(Record { value, content })
    });
    Some(record.ok_or_else(malformed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(line: &str) -> Content {
        RecordParser::default().push(line.as_bytes()).remove(0).unwrap().content
    }

    #[test]
    fn known_records_are_read() {
        assert_eq!(content("{\"record\":\"boot\",\"version\":\"0.1.0\"}\n"), Content::Boot {});
        assert_eq!(content("{\"record\":\"machine-off\"}\r\n"), Content::MachineOff {});
        assert_eq!(
            content(
                "{\"record\":\"guest-ended\",\"guest\":\"web\",\"status\":3,\"cause\":\"exit\"}\n"
            ),
            Content::GuestEnded { guest: "web".into(), status: 3, cause: "exit".into() }
        );
    }

    #[test]
    fn a_crash_names_program_and_place() {
        let line = r#"{"record":"crash","process":"vmm/web","guest":"web","fault":"VM fault","ip":4198400}"#;
        let crash = Content::Crash { process: "vmm/web".into(), fault: "VM fault".into() };
        assert_eq!(content(&format!("{line}\n")), crash);
        let line =
            r#"{"record":"crash-backtrace","process":"vmm/web","backtrace":[4198400,4198500]}"#;
        let Content::CrashBacktrace(backtrace) = content(&format!("{line}\n")) else { panic!() };
        assert_eq!(backtrace.program(), "vmm");
        assert_eq!(backtrace.addresses, [4_198_400, 4_198_500]);
    }

    #[test]
    fn records_of_later_versions_are_kept() {
        let record =
            RecordParser::default().push(b"{\"record\":\"trace\",\"x\":[1]}\n").remove(0).unwrap();
        assert_eq!(record.content, Content::Unknown);
        assert_eq!(record.value["x"][0], 1);
    }

    #[test]
    fn what_is_no_record_is_reported() {
        let mut parser = RecordParser::default();
        for bad in
            ["hello", "{}", "[1]", "{\"record\":7}", "{\"record\":\"guest-ended\",\"guest\":\"w\"}"]
        {
            let line = format!("{bad}\n");
            assert_eq!(parser.push(line.as_bytes()), [Err(Malformed(bad.into()))]);
        }
        assert_eq!(parser.push(b"\n  \n{\"record\":"), []);
        assert_eq!(parser.finish(), Some(Err(Malformed("{\"record\":".into()))));
        assert_eq!(parser.finish(), None);
    }
}
