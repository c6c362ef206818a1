//! Counters of a guest's processes, gathered from control records.
//!
//! A process may need several records `counters`; together they are one list.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::output::record::Record;

/// Counters by process and name.
pub type Counters = BTreeMap<String, BTreeMap<String, u64>>;

/// The counters that `records` have for a guest.
pub fn of_guest(records: &[Record], guest: &str) -> Counters {
    let mut all = Counters::new();
    for record in records.iter().map(|record| &record.value) {
        let named = record["record"] == "counters" && record["guest"] == guest;
        let (Some(process), Some(counters)) =
            (record["process"].as_str(), record["counters"].as_object())
        else {
            continue;
        };
        if !named {
            continue;
        }
        let values =
            counters.iter().filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)));
        all.entry(process.to_owned()).or_default().extend(values);
    }
    all
}

/// For people: one line for each counter that is not zero.
pub fn table(guest: &str, counters: &Counters) -> Vec<String> {
    let mut lines = vec![format!("counters of {guest} (those that are not zero)")];
    for (process, values) in counters {
        for (name, value) in values.iter().filter(|(_, value)| **value != 0) {
            lines.push(format!("  {process:13}  {name:24} {value:>14}"));
        }
    }
    lines
}

/// For programs.
pub fn json(counters: &Counters) -> Value {
    json!(counters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::record::RecordParser;

    const RECORDS: &str = concat!(
        r#"{"record":"counters","guest":"a","process":"shadow-server","counters":{"wakes":3,"refused":0}}"#,
        "\n",
        r#"{"record":"counters","guest":"a","process":"shadow-server","counters":{"unsync":2}}"#,
        "\n",
        r#"{"record":"counters","guest":"b","process":"shadow-server","counters":{"wakes":9}}"#,
        "\n",
    );

    #[test]
    fn records_of_one_process_are_one_list() {
        let records: Vec<Record> = RecordParser::default()
            .push(RECORDS.as_bytes())
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let counters = of_guest(&records, "a");
        assert_eq!(
            json(&counters),
            json!({"shadow-server": {"wakes": 3, "refused": 0, "unsync": 2}})
        );
        let table = table("a", &counters);
        assert_eq!(table.len(), 3, "{table:?}");
        assert!(table[1].contains("unsync") && table[1].ends_with(" 2"));
    }
}
