//! `docs/protocol.md` says what the code says: every label, exit, completion,
//! counter, cause and control record, and nothing beyond.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::exit::{Completion, EXIT, Exit};
use protocol::request::{LOG_DIRTY, OUTSIDE_RAM, READ, READ_DIRTY, Request, WRITE};
use protocol::supervisor::{Cause, GUEST_ENDED, PANIC};
use protocol::{REFUSED, VERSION, badge, console, counters, timer};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(repository().join("docs/protocol.md")).unwrap()
}

/// The cells of all table rows in the section under the heading `title`.
fn rows(page: &str, title: &str) -> Vec<Vec<String>> {
    let heading = format!("\n## {title}\n");
    let (_, section) = page.split_once(&heading).expect(title);
    let section = section.split("\n## ").next().unwrap();
    let cells = |line: &str| {
        let inner = line.trim_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    section
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---"))
        .map(cells)
        .collect()
}

/// `text` without the backquotes around it, if it has them.
fn code(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`')
}

/// First and second column of the rows whose second column is code.
fn pairs(rows: &[Vec<String>]) -> BTreeSet<(String, String)> {
    let pair = |row: &Vec<String>| {
        let first = code(&row[0]).unwrap_or(&row[0]);
        Some((first.to_owned(), code(&row[1])?.to_owned()))
    };
    rows.iter().filter_map(pair).collect()
}

fn expected(pairs: &[(u64, &str)], hexadecimal: bool) -> BTreeSet<(String, String)> {
    let number = |number: u64| match hexadecimal {
        true => format!("{number:#x}"),
        false => number.to_string(),
    };
    let pair = |&(value, name): &(u64, &str)| (number(value), name.to_owned());
    pairs.iter().map(pair).collect()
}

#[test]
fn the_version_is_the_codes() {
    assert!(page().contains(&format!("\nVersion {VERSION}. ")));
}

#[test]
fn labels() {
    let complete = Request::Complete {
        vcpu: 0,
        completion: Completion::Done,
        offers: protocol::offers::Offers::NONE,
    };
    let labels = [
        (Request::NextExit { offers: protocol::offers::Offers::NONE }.encode().0, "NEXT_EXIT"),
        (complete.encode().0, "COMPLETE"),
        (READ, "READ"),
        (WRITE, "WRITE"),
        (OUTSIDE_RAM, "OUTSIDE_RAM"),
        (LOG_DIRTY, "LOG_DIRTY"),
        (READ_DIRTY, "READ_DIRTY"),
        (EXIT, "EXIT"),
        (GUEST_ENDED, "GUEST_ENDED"),
        (PANIC, "PANIC"),
        (console::WRITE, "WRITE"),
        (console::CONTROL, "CONTROL"),
        (console::NAME, "NAME"),
        (console::OK, "OK"),
        (console::READ, "READ"),
        (timer::SET_DEADLINE, "SET_DEADLINE"),
        (timer::WALL_TIME, "WALL_TIME"),
        (timer::OK, "OK"),
        (REFUSED, "REFUSED"),
    ];
    let page = page();
    assert_eq!(pairs(&rows(&page, "Labels")), expected(&labels, true));
}

#[test]
fn badges() {
    let page = page();
    let badges: Vec<String> = rows(&page, "Badges").iter().map(|row| row[1].clone()).collect();
    for badge in [
        badge::vcpu(0),
        badge::VMM,
        badge::SUPERVISOR,
        badge::DRIVER_SUPERVISOR,
        badge::Sender::Fault(0).badge(),
        badge::Sender::Report(0).badge(),
        badge::NOTIFICATION,
    ] {
        let written = format!("`{badge:#x}`");
        assert!(badges.iter().any(|cell| cell.contains(&written)), "{written}");
    }
}

#[test]
fn exits_and_completions() {
    let exits = [
        Exit::PortOut { port: 0, size: 1, value: 0, argument: None },
        Exit::PortIn { port: 0, size: 1 },
        Exit::ReadMsr { index: 0 },
        Exit::WriteMsr { index: 0, value: 0 },
        Exit::Halt { interruptible: false },
        Exit::ReadOnlyMemory { gpa: 0, rip: 0 },
        Exit::NotRam { gpa: 0, rip: 0, write: false },
        Exit::Shutdown,
        Exit::Unsupported { rip: 0, bytes: 0 },
        Exit::Woken { input: false },
    ];
    let completions = [
        Completion::Done,
        Completion::Value(0),
        Completion::GeneralProtection,
        Completion::InvalidOpcode,
    ];
    let exits = exits.map(|exit| (exit.encode(0)[0] & 0xff, format!("{exit:?}")));
    let completions = completions.map(|one| (one.encode().0, format!("{one:?}")));
    let all: Vec<(u64, &str)> = exits
        .iter()
        .chain(&completions)
        .map(|(number, debug)| (*number, debug.split([' ', '(']).next().unwrap()))
        .collect();
    let page = page();
    assert_eq!(pairs(&rows(&page, "Exits")), expected(&all, false));

    let unknown = exits.iter().map(|(kind, _)| *kind).max().unwrap() + 1;
    assert_eq!(Exit::decode([unknown, 0, 0, 0]), None, "an exit is missing above");
    let unknown = completions.iter().map(|(kind, _)| *kind).max().unwrap() + 1;
    assert_eq!(Completion::decode(unknown, 0), None, "a completion is missing above");
}

#[test]
fn counter_names() {
    let page = page();
    let written: Vec<String> =
        rows(&page, "Counters").iter().filter_map(|row| code(&row[0]).map(str::to_owned)).collect();
    let server = counters::Server::ALL.iter().map(|counter| counter.as_str());
    let vmm = counters::Vmm::ALL.iter().map(|counter| counter.as_str());
    assert_eq!(written, server.chain(vmm).collect::<Vec<_>>());
}

#[test]
fn causes() {
    let page = page();
    let rows = rows(&page, "Control records");
    for number in 0.. {
        let Some(cause) = Cause::from_number(number) else {
            break;
        };
        let (word, number) = (format!("`{}`", cause.as_str()), number.to_string());
        let found = rows.iter().any(|row| row[0] == word && row[1] == number);
        assert!(found, "{word} {number}");
    }
}

/// What the supervisor's sources write as `"record":"…"`.
fn records_in_sources() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(repository().join("root-task/src")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for (_, rest) in
            text.match_indices(r#"\"record\":\""#).map(|(at, mark)| text.split_at(at + mark.len()))
        {
            names.insert(rest.split('\\').next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn control_records() {
    let page = page();
    let rows = rows(&page, "Control records");
    let (records, _causes): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.len() == 3);
    let written: BTreeSet<String> =
        records.iter().filter_map(|row| code(&row[0]).map(str::to_owned)).collect();
    assert_eq!(written, records_in_sources());
}
