//! Prefixes: whose text a line of COM1 holds.
//!
//! ```text
//! web| a whole line
//! web| the first half of a lin      <- another client interrupts here
//! db| its own line
//! web+ e that goes on
//! ```
//!
//! A `|` starts a line of that client; a `+` continues the client's line that
//! another one interrupted, so the line break before it was not the client's.
//! Bytes pass as they are; only line feeds have a meaning here.
//!
//! Invariant: every byte that the clients sent appears exactly once, in each
//! client's order.

use protocol::console::{CONTINUED_MARK, LINE_MARK};

/// Where bytes go.
pub trait Sink {
    /// Writes one byte.
    fn put(&mut self, byte: u8);
}

/// The state of the line on the wire and of each client's line.
pub struct Lines<const CLIENTS: usize> {
    /// The client whose unfinished line stands on the wire.
    open: Option<usize>,
    /// Clients whose last line was interrupted.
    interrupted: [bool; CLIENTS],
}

impl<const CLIENTS: usize> Lines<CLIENTS> {
    /// Nothing written yet.
    pub const fn new() -> Self {
        Self { open: None, interrupted: [false; CLIENTS] }
    }

    /// Writes `bytes` of client number `client`, called `name`, to `sink`.
    /// A client number past the last is ignored.
    pub fn write(&mut self, client: usize, name: &str, bytes: &[u8], sink: &mut impl Sink) {
        if client >= CLIENTS {
            return;
        }
        for &byte in bytes {
            self.claim(client, name, sink);
            sink.put(byte);
            if byte == b'\n' {
                self.open = None;
            }
        }
    }

    /// Makes `client` the owner of the line on the wire.
    fn claim(&mut self, client: usize, name: &str, sink: &mut impl Sink) {
        if self.open == Some(client) {
            return;
        }
        if let Some(other) = self.open {
            sink.put(b'\n');
            self.interrupted[other] = true;
        }
        let mark =
            if core::mem::take(&mut self.interrupted[client]) { CONTINUED_MARK } else { LINE_MARK };
        name.bytes().chain([mark, b' ']).for_each(|byte| sink.put(byte));
        self.open = Some(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Sink for Vec<u8> {
        fn put(&mut self, byte: u8) {
            self.push(byte);
        }
    }

    fn wire(writes: &[(usize, &[u8])]) -> String {
        let mut lines = Lines::<3>::new();
        let mut out = Vec::new();
        for (client, bytes) in writes {
            lines.write(*client, ["a", "b", "c"].get(*client).unwrap_or(&"?"), bytes, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_line_has_its_owner() {
        assert_eq!(wire(&[(0, b"one\ntwo\n"), (1, b"three\n")]), "a| one\na| two\nb| three\n");
    }

    #[test]
    fn an_interrupted_line_is_continued() {
        assert_eq!(
            wire(&[(0, b"half"), (1, b"other\n"), (0, b" whole\n"), (0, b"next\n")]),
            "a| half\nb| other\na+  whole\na| next\n"
        );
    }

    #[test]
    fn a_line_in_pieces_stays_one_line() {
        assert_eq!(wire(&[(0, b"o"), (0, b"n"), (0, b"e\n")]), "a| one\n");
    }

    #[test]
    fn unknown_clients_and_empty_writes_leave_no_trace() {
        assert_eq!(wire(&[(3, b"x"), (0, b"")]), "");
    }
}
