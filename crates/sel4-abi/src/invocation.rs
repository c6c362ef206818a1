//! Numbers of invocation labels.
//!
//! Label 0 is the invalid invocation. Then every method whose condition holds takes the next
//! number, over the three interface files in the order generic, x86_64, x86. A method whose
//! condition does not hold takes none, so one switch may move every later label.

use std::collections::BTreeMap;

use crate::condition::Condition;
use crate::config::Config;
use crate::error::Error;
use crate::source::Document;

/// Counts the labels of all methods that exist under a configuration.
pub(crate) fn labels(
    documents: &[Document],
    config: &Config,
) -> Result<BTreeMap<String, u64>, Error> {
    let mut labels = BTreeMap::new();
    let mut next = 1;
    for document in documents {
        for method in document.root.descendants("method") {
            let id = method
                .attribute("id")
                .ok_or_else(|| document.error(method, "<method> without 'id'"))?;
            let condition =
                Condition::of(method).map_err(|problem| document.error(method, problem))?;
            if !condition.holds(config) {
                continue;
            }
            if labels.insert(id.to_owned(), next).is_some() {
                return Err(document.error(method, format!("{id} has two labels")));
            }
            next += 1;
        }
    }
    Ok(labels)
}
