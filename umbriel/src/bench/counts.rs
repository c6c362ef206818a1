//! Events an operation, from the servers' counters.
//!
//! Counters come once, when a guest ends. So a row is booted alone, and what a
//! guest counts with a row that lacks the operation is taken off; the row's own
//! set-up stays in.

use std::collections::BTreeMap;

use crate::output::record::Record;

/// Events an operation, by `PROCESS.COUNTER`.
pub type Events = BTreeMap<String, f64>;

/// Totals of the counter records among `records`, by `PROCESS.COUNTER`.
pub fn totals(records: &[Record]) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for record in records.iter().map(|record| &record.value) {
        let counters = record.get("counters").and_then(|value| value.as_object());
        let (Some(process), Some(counters)) = (record["process"].as_str(), counters) else {
            continue;
        };
        for (name, value) in counters {
            if let Some(value) = value.as_u64() {
                totals.insert(format!("{process}.{name}"), value);
            }
        }
    }
    totals
}

/// What `with` counts more than `without`, for each of `iterations`; events
/// that hardly ever happened are left out.
pub fn each(
    with: &BTreeMap<String, u64>,
    without: &BTreeMap<String, u64>,
    iterations: u64,
) -> Events {
    const HARDLY: f64 = 0.005;
    let each = |(name, value): (&String, &u64)| {
        let more = value.saturating_sub(without.get(name).copied().unwrap_or(0));
        let each = more as f64 / iterations.max(1) as f64;
        (each >= HARDLY).then(|| (name.clone(), (each * 100.0).round() / 100.0))
    };
    with.iter().filter_map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::record::RecordParser;

    #[test]
    fn counters_are_taken_from_their_records() {
        let line = br#"{"record":"counters","guest":"g","process":"vmm","counters":{"exits":30,"wakes":7}}"#;
        let records: Vec<Record> = RecordParser::default()
            .push(&[line, &b"\n{\"record\":\"boot\"}\n"[..]].concat())
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let with = totals(&records);
        assert_eq!(with["vmm.exits"], 30);
        let without = BTreeMap::from([("vmm.exits".to_owned(), 10), ("vmm.wakes".to_owned(), 7)]);
        assert_eq!(each(&with, &without, 20), BTreeMap::from([("vmm.exits".to_owned(), 1.0)]));
    }
}
