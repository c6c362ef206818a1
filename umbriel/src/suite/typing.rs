//! What boot tests type for guests.

use qemu::{Keyboard, Port};

use crate::input;
use crate::machine::Observer;
use crate::output::console::Piece;
use crate::output::record::Record;
use crate::output::streams::Streams;
use crate::suite::expected::{Expected, Typed};
use crate::suite::failure::Log;

/// What is typed for one guest, and how far that is.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    typed: &'a [Typed],
    /// Bytes of the guest's output that were waited for already.
    seen: usize,
}

impl<'a> Script<'a> {
    /// From the beginning.
    pub fn new(typed: &'a [Typed]) -> Script<'a> {
        Script { typed, seen: 0 }
    }

    /// What is to be typed next, if the guest has printed what comes before it.
    pub fn next(&mut self, printed: &[u8]) -> Option<&'a str> {
        let (next, rest) = self.typed.split_first()?;
        let after = next.after.as_bytes();
        let new = printed.get(self.seen..)?;
        let at = new.windows(after.len().max(1)).position(|found| found == after)?;
        self.seen += at + after.len();
        self.typed = rest;
        Some(&next.text)
    }
}

/// Types what a test says, and logs what comes.
pub struct Typist<'a> {
    scripts: Vec<(&'a str, Script<'a>)>,
    streams: Streams,
    keyboard: Option<Keyboard>,
    log: &'a mut Log,
}

impl<'a> Typist<'a> {
    /// For the guests of a test.
    pub fn new(expected: &'a Expected, log: &'a mut Log) -> Typist<'a> {
        let scripts = expected
            .guest
            .iter()
            .filter(|(_, guest)| !guest.typed.is_empty())
            .map(|(name, guest)| (name.as_str(), Script::new(&guest.typed)))
            .collect();
        Typist { scripts, streams: Streams::default(), keyboard: None, log }
    }
}

impl Observer for Typist<'_> {
    fn piece(&mut self, piece: &Piece) {
        if self.scripts.is_empty() {
            return;
        }
        self.streams.push(piece);
        for (guest, script) in &mut self.scripts {
            let printed = self.streams.bytes(guest);
            while let Some(text) = script.next(&printed) {
                if let Some(keyboard) = &mut self.keyboard {
                    let bytes = [&input::choose(guest), text.as_bytes()].concat();
                    // A machine that has ended is found out about elsewhere.
                    let _ = keyboard.send(&bytes);
                }
            }
        }
    }

    fn record(&mut self, record: &Record) {
        self.log.record(record);
    }

    fn keyboard(&mut self, keyboard: Keyboard) {
        self.keyboard = Some(keyboard);
    }

    fn bytes(&mut self, port: Port, bytes: &[u8]) {
        self.log.bytes(port, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_waits_for_each_text_in_turn() {
        let typed =
            |after: &str, text: &str| Typed { after: after.to_owned(), text: text.to_owned() };
        let script = [typed("? ", "a\r"), typed("? ", "b\r")];
        let mut script = Script::new(&script);
        assert_eq!(script.next(b"name"), None);
        assert_eq!(script.next(b"name? "), Some("a\r"));
        assert_eq!(script.next(b"name? "), None);
        assert_eq!(script.next(b"name? a\nage? "), Some("b\r"));
        assert_eq!(script.next(b"name? a\nage? b? ? "), None);
    }
}
