//! Numbers of system calls.
//!
//! They count down from -1 over the API list and then the debug list. Unlike invocations, a call
//! whose condition does not hold keeps its number; it is merely absent from the kernel.

use std::collections::BTreeMap;

use crate::condition::Condition;
use crate::config::Config;
use crate::error::Error;
use crate::source::Document;
use crate::xml::Element;

/// Counts the system calls that exist under a configuration without MCS.
pub(crate) fn numbers(
    document: &Document,
    config: &Config,
) -> Result<BTreeMap<String, i64>, Error> {
    let root = &document.root;
    let api = ["api-master", "api"]
        .iter()
        .find_map(|name| root.children_named(name).next())
        .ok_or_else(|| document.error(root, "neither <api> nor <api-master>"))?;
    let debug = root.children_named("debug").next();

    let mut counter = Counter { document, config, next: -1, numbers: BTreeMap::new() };
    counter.count(api)?;
    if let Some(debug) = debug {
        counter.count(debug)?;
    }
    Ok(counter.numbers)
}

struct Counter<'a> {
    document: &'a Document,
    config: &'a Config,
    next: i64,
    numbers: BTreeMap<String, i64>,
}

impl Counter<'_> {
    fn count(&mut self, list: &Element) -> Result<(), Error> {
        for group in list.children_named("config") {
            let exists = Condition::of(group)
                .map_err(|problem| self.document.error(group, problem))?
                .holds(self.config);
            for call in group.children_named("syscall") {
                let name = call
                    .attribute("name")
                    .ok_or_else(|| self.document.error(call, "<syscall> without 'name'"))?;
                if exists {
                    self.numbers.insert(name.to_owned(), self.next);
                }
                self.next -= 1;
            }
        }
        Ok(())
    }
}
