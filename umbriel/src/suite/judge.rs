//! Compares what a machine did with what was expected.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::machine::Outcome;
use crate::output::counters;
use crate::output::escape::escape;
use crate::output::status::GuestEnd;
use crate::output::streams::MACHINE;
use crate::suite::expected::{Expected, Guest, Number, Output};

/// The reasons why `outcome`, with exit status `status`, is not as expected;
/// none if it is.
pub fn problems(expected: &Expected, outcome: &Outcome, status: u8) -> Vec<String> {
    let mut problems = Vec::new();
    if status != expected.status {
        problems.push(format!(
            "exit status is {status}, not {} (the machine: {:?})",
            expected.status, outcome.end
        ));
    }
    for (name, output) in &expected.output {
        let stream = outcome.streams.bytes(if name == "machine" { MACHINE } else { name });
        problems.extend(output_problems(name, output, &stream));
    }
    for (name, guest) in &expected.guest {
        problems.extend(guest_problems(name, guest, outcome.guests.get(name)));
    }
    for wanted in &expected.record {
        if !outcome.records.iter().any(|record| agrees(wanted, &record.value)) {
            problems.push(format!("no control record has {}", Value::from(wanted.clone())));
        }
    }
    for unwanted in &expected.no_record {
        if let Some(record) = outcome.records.iter().find(|record| agrees(unwanted, &record.value))
        {
            problems.push(format!("there is the control record {}", record.value));
        }
    }
    for (guest, wanted) in &expected.counters {
        let found = counters::of_guest(&outcome.records, guest);
        problems.extend(counter_problems(guest, wanted, &found));
    }
    problems.extend(stuck(outcome));
    problems.extend(
        outcome.malformed.iter().map(|line| format!("COM2 carried no control record but {line}")),
    );
    problems
}

fn output_problems(name: &str, expected: &Output, stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n");
    let mut problems = Vec::new();
    if let Some(exact) = &expected.exact
        && *exact != text
    {
        problems.push(difference(name, exact, &text));
    }
    let mut rest = text.as_str();
    for wanted in &expected.contains {
        match rest.find(wanted.as_str()) {
            Some(at) => rest = &rest[at + wanted.len()..],
            None if text.contains(wanted.as_str()) => {
                problems.push(format!("{name} writes {wanted:?}, but not in the order expected"));
            }
            None => problems.push(format!("{name} does not write {wanted:?}")),
        }
    }
    let unwanted = expected.lacks.iter().filter(|unwanted| text.contains(unwanted.as_str()));
    problems.extend(unwanted.map(|unwanted| format!("{name} writes {unwanted:?}")));
    let numbers = expected.number.iter();
    problems.extend(numbers.filter_map(|number| number_problem(name, number, &text)));
    problems
}

/// Counters of a guest that are too small.
fn counter_problems(
    guest: &str,
    wanted: &BTreeMap<String, u64>,
    found: &counters::Counters,
) -> Vec<String> {
    let find = |name: &str| {
        let (process, counter) = name.split_once('.')?;
        found.get(process)?.get(counter).copied()
    };
    let problem = |(name, at_least): (&String, &u64)| match find(name) {
        None => Some(format!("{guest} has no counter {name}")),
        Some(found) if found < *at_least => {
            Some(format!("{guest} counts {found} of {name}, less than {at_least}"))
        }
        Some(_) => None,
    };
    wanted.iter().filter_map(problem).collect()
}

/// Guests with a vCPU that faulted on without getting anywhere, which no test
/// allows.
fn stuck(outcome: &Outcome) -> Vec<String> {
    let problem = |guest: &String| {
        let counters = counters::of_guest(&outcome.records, guest);
        let times = *counters.get("shadow-server")?.get("no_progress")?;
        (times > 0).then(|| {
            format!("a vCPU of {guest} was stuck at one instruction and address {times} times")
        })
    };
    outcome.guests.keys().filter_map(problem).collect()
}

/// Why the number that follows a text is not within its bounds.
fn number_problem(name: &str, expected: &Number, text: &str) -> Option<String> {
    let Number { after, at_least, at_most } = expected;
    let found = text.split_once(after.as_str()).and_then(|(_, rest)| {
        let end = rest.find(|digit: char| !digit.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse::<u64>().ok()
    });
    match found {
        None => Some(format!("{name} writes no number after {after:?}")),
        Some(found) if (*at_least..=*at_most).contains(&found) => None,
        Some(found) => {
            Some(format!("{name} writes {found} after {after:?}, not {at_least} to {at_most}"))
        }
    }
}

/// Says where two texts part.
pub fn difference(name: &str, expected: &str, actual: &str) -> String {
    let mut expected_lines = expected.lines();
    let mut actual_lines = actual.lines();
    let mut number = 0;
    loop {
        number += 1;
        match (expected_lines.next(), actual_lines.next()) {
            (None, None) => {
                return format!("{name} differs in line breaks or the end of the last line");
            }
            (expected, actual) if expected == actual => {}
            (expected, actual) => {
                let show = |line: Option<&str>| {
                    line.map_or("nothing".to_owned(), |line| {
                        format!("\"{}\"", escape(line.as_bytes()))
                    })
                };
                return format!(
                    "{name}, line {number}: expected {}, got {}",
                    show(expected),
                    show(actual)
                );
            }
        }
    }
}

fn guest_problems(name: &str, expected: &Guest, end: Option<&GuestEnd>) -> Vec<String> {
    let Some(end) = end else {
        return vec![format!("{name} never reported its end")];
    };
    let mut problems = Vec::new();
    if let Some(status) = expected.status
        && status != end.byte()
    {
        problems.push(format!("{name} ended with status {}, not {status}", end.status));
    }
    if let Some(cause) = &expected.cause
        && *cause != end.cause
    {
        problems.push(format!("{name} ended by {:?}, not {cause:?}", end.cause));
    }
    problems
}

/// Whether `record` has every key of `wanted` with the same value.
fn agrees(wanted: &Map<String, Value>, record: &Value) -> bool {
    wanted.iter().all(|(key, value)| match (value, record.get(key)) {
        (Value::Object(inner), Some(found)) => agrees(inner, found),
        (value, found) => found == Some(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn output(text: &str) -> Output {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn texts_are_wanted_in_order() {
        let wanted = output("contains = ['one', 'two']");
        assert!(output_problems("a", &wanted, b"one\ntwo\n").is_empty());
        assert!(output_problems("a", &wanted, b"two\none\n")[0].contains("order"));
        assert!(output_problems("a", &wanted, b"one\n")[0].contains("does not write \"two\""));
    }

    #[test]
    fn unwanted_texts_are_found() {
        let wanted = output("lacks = ['Solo5:']");
        assert!(output_problems("a", &wanted, b"quiet").is_empty());
        assert_eq!(output_problems("a", &wanted, b"Solo5: x"), ["a writes \"Solo5:\""]);
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let wanted = output("number = [{ after = 'share: ', at-least = 430, at-most = 570 }]");
        assert!(output_problems("a", &wanted, b"x\r\nshare: 430\r\n").is_empty());
        assert!(output_problems("a", &wanted, b"share: 570").is_empty());
        assert_eq!(
            output_problems("a", &wanted, b"share: 429.9"),
            ["a writes 429 after \"share: \", not 430 to 570"]
        );
        assert!(output_problems("a", &wanted, b"share: 571")[0].contains("571"));
        for text in ["share", "share: ", "share: -450"] {
            assert!(output_problems("a", &wanted, text.as_bytes())[0].contains("no number"));
        }
    }

    #[test]
    fn the_first_difference_is_shown() {
        let wanted = output("exact = \"one\\ntwo\\n\"");
        assert!(output_problems("a", &wanted, b"one\r\ntwo\r\n").is_empty());
        let problems = output_problems("a", &wanted, b"one\ntw\x1b\n");
        assert_eq!(problems, ["a, line 2: expected \"two\", got \"tw\\x1b\""]);
        assert!(output_problems("a", &wanted, b"one\ntwo")[0].contains("last line"));
        assert!(output_problems("a", &wanted, b"")[0].contains("got nothing"));
    }

    #[test]
    fn records_agree_by_the_keys_that_are_given() {
        let wanted = json!({"record": "crash", "counters": {"heal": 0}});
        let wanted = wanted.as_object().unwrap();
        assert!(agrees(
            wanted,
            &json!({"record": "crash", "ip": 7, "counters": {"heal": 0, "x": 1}})
        ));
        assert!(!agrees(wanted, &json!({"record": "crash", "counters": {"heal": 1}})));
        assert!(!agrees(wanted, &json!({"record": "crash"})));
    }

    #[test]
    fn counters_keep_to_their_least() {
        let wanted = BTreeMap::from([("shadow-server.unsync".to_owned(), 2)]);
        let counts = |unsync| {
            let values = BTreeMap::from([("unsync".to_owned(), unsync)]);
            counters::Counters::from([("shadow-server".to_owned(), values)])
        };
        assert!(counter_problems("a", &wanted, &counts(2)).is_empty());
        assert!(counter_problems("a", &wanted, &counts(1))[0].contains("counts 1"));
        let nothing = counters::Counters::new();
        assert!(counter_problems("a", &wanted, &nothing)[0].contains("no counter"));
    }

    #[test]
    fn ends_are_compared() {
        let wanted = Guest {
            status: Some(255),
            cause: Some("exit".into()),
            same_when_bare: false,
            bisect: false,
            typed: Vec::new(),
        };
        let end = |status, cause: &str| GuestEnd { status, cause: cause.into() };
        assert!(guest_problems("a", &wanted, Some(&end(255, "exit"))).is_empty());
        assert_eq!(guest_problems("a", &wanted, Some(&end(0, "refused"))).len(), 2);
        assert_eq!(guest_problems("a", &wanted, None), ["a never reported its end"]);
    }
}
