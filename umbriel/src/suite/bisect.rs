//! Finds the instruction sequence after which a guest is not as bare.
//!
//! Guests that run numbered sequences print `sequences N digest D` now and then,
//! of what happened since the line before, and take `first=`, `sequences=`,
//! `every=` and `trace=` on their command lines. The first digest that differs
//! names a range; its sequences are run again with a digest for each, and the
//! first of those that differs again, printed.

use std::path::Path;

use qemu::Timing;

use crate::build::Artifacts;
use crate::command::run;
use crate::compose::{self, Loaded};
use crate::error::Result;
use crate::machine::{self, Limits};
use crate::repository::Repository;
use crate::suite::boot::BootTest;
use crate::suite::failure::Log;
use crate::suite::judge::difference;
use crate::suite::{bare, boot};

/// One guest of a test, to be run alone, both ways.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Where things are.
    pub repository: &'a Repository,
    /// Whose guest it is.
    pub test: &'a BootTest,
    /// Its number.
    pub index: usize,
    /// What is booted.
    pub built: &'a Artifacts,
    /// When to give up.
    pub limits: Limits<'a>,
}

/// Says after which sequence `here` parts from `bare`, and how; both are what
/// the guest printed.
///
/// # Errors
/// If a machine does not run.
pub fn explain(subject: Subject<'_>, bare: &str, here: &str) -> Result<String> {
    let Some((first, last)) = range(bare, here) else {
        return Ok("no digest differs".to_owned());
    };
    let one_by_one = [("first", first), ("sequences", last - first + 1), ("every", 1)];
    let (bare, here) = subject.both(&one_by_one)?;
    let Some((number, _)) = range(&bare, &here) else {
        return Ok(format!(
            "sequences {first} to {last} differ, but not when they are run without those before"
        ));
    };
    let alone = [("first", number), ("sequences", 1), ("every", 1), ("trace", number)];
    let (bare, here) = subject.both(&alone)?;
    let name = subject.name();
    let code = bare.lines().find(|line| line.starts_with("code "));
    Ok(format!(
        "sequence {number} differs ({})\n{}\n{}",
        words(&alone).join(" "),
        code.unwrap_or("it prints no code"),
        if bare == here { "alone it does not".to_owned() } else { difference(name, &bare, &here) }
    ))
}

impl Subject<'_> {
    fn name(&self) -> &str {
        &self.test.loaded.system.guests[self.index].name
    }

    /// What the guest prints bare and under Umbriel, with these numbers on its
    /// command line.
    fn both(&self, numbers: &[(&str, u64)]) -> Result<(String, String)> {
        let mut system = self.test.loaded.system.clone();
        let mut guest = system.guests.swap_remove(self.index);
        guest.args = with(&guest.args, numbers);
        let image = bare::image(&guest, self.built)?;
        let (printed, _) = bare::run(&bare::machine(&guest, image)?, &[], self.limits)?;
        let name = guest.name.clone();
        system.guests = vec![guest];
        let loaded = Loaded { system, shown: self.test.loaded.shown.clone() };
        let streams = self.boot(&loaded)?;
        Ok((bare::text(&printed), bare::text(&streams.bytes(&name))))
    }

    fn boot(&self, loaded: &Loaded) -> Result<crate::output::streams::Streams> {
        let directory = boot::directory(self.repository, self.test);
        let image = directory.join("bisect.elf");
        self.compose(loaded, &image)?;
        let machine = run::machine(&loaded.system, self.built, &image, Timing::InstructionCount)?;
        Ok(machine::run(&machine, self.limits, &mut Log::default())?.streams)
    }

    fn compose(&self, loaded: &Loaded, image: &Path) -> Result<()> {
        let bytes = compose::compose(self.repository, loaded, self.built)?;
        compose::write_whole(image, &bytes)
    }
}

/// The sequences that the first differing digest is about.
fn range(bare: &str, here: &str) -> Option<(u64, u64)> {
    let mut here = here.lines().filter(|line| number(line).is_some());
    let mut first = None;
    for line in bare.lines() {
        let Some(last) = number(line) else {
            continue;
        };
        if here.next() != Some(line) {
            return Some((first.unwrap_or(1).min(last), last));
        }
        first = Some(last + 1);
    }
    None
}

/// N of `sequences N digest D`.
fn number(line: &str) -> Option<u64> {
    let (number, digest) = line.strip_prefix("sequences ")?.split_once(' ')?;
    digest.starts_with("digest ").then_some(())?;
    number.parse().ok()
}

fn words(numbers: &[(&str, u64)]) -> Vec<String> {
    numbers.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// `arguments`, with `numbers` in place of those of the same name.
fn with(arguments: &[String], numbers: &[(&str, u64)]) -> Vec<String> {
    let kept = arguments.iter().filter(|word| {
        let key = word.split('=').next();
        numbers.iter().all(|(name, _)| key != Some(name))
    });
    kept.cloned().chain(words(numbers)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "hello\nsequences 20 digest 1\nsequences 40 digest 2\ndone";

    #[test]
    fn the_first_differing_digest_names_a_range() {
        assert_eq!(range(BARE, BARE), None);
        let here = BARE.replace("digest 2", "digest 3");
        assert_eq!(range(BARE, &here), Some((21, 40)));
        let here = BARE.replace("digest 1", "digest 3");
        assert_eq!(range(BARE, &here), Some((1, 20)));
        assert_eq!(range(BARE, "sequences 20 digest 1"), Some((21, 40)));
    }

    #[test]
    fn only_digests_count() {
        assert_eq!(number("sequences 7 digest ab"), Some(7));
        assert_eq!(number("sequences 7 of 9"), None);
        assert_eq!(range(BARE, &BARE.replace("hello", "hullo")), None);
    }

    #[test]
    fn numbers_replace_those_on_the_command_line() {
        let old: Vec<String> = ["seed=3", "sequences=100"].map(String::from).into();
        assert_eq!(
            with(&old, &[("first", 7), ("sequences", 1)]),
            ["seed=3", "first=7", "sequences=1"]
        );
    }
}
