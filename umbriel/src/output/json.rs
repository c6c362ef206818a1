//! The form for programs: one JSON object a line.
//!
//! `{"record":"output","source":NAME,"line":TEXT}` for each line that a client
//! completed (`source` is empty for text without a prefix), every control
//! record as it came, then one `{"record":"run",…}` and at the very end one
//! `{"record":"guest",…}` for each guest in manifest order. Bytes that are not
//! UTF-8 appear as U+FFFD in `line`, and then `bytes` has them all.

use serde_json::{Value, json};

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

#[cfg(test)]
mod tests {
    use super::*;

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
        let end = GuestEnd {
            status: 0,
            cause: "exit".into(),
        };
        assert_eq!(guest("web", Some(&end))["status"], 0);
    }
}
