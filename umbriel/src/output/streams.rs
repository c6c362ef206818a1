//! Each client's own bytes, put together again from the lines of COM1.

use std::collections::BTreeMap;

use crate::output::console::Piece;

/// The name under which text without a prefix is kept: no client has it.
pub const MACHINE: &str = "";

/// The unprefixed streams of all clients.
#[derive(Debug, Default)]
pub struct Streams {
    streams: BTreeMap<String, Stream>,
    current: String,
}

#[derive(Debug, Default)]
struct Stream {
    bytes: Vec<u8>,
    /// A line break whose owner is not known yet: the client's own if its next
    /// line is a new one, the driver's if that goes on with the old one.
    break_pending: bool,
}

impl Streams {
    /// Takes the next piece of COM1.
    pub fn push(&mut self, piece: &Piece) {
        match piece {
            Piece::Start { source, continued } => {
                self.current = source.clone().unwrap_or_else(|| MACHINE.to_owned());
                let stream = self.stream();
                if std::mem::take(&mut stream.break_pending) && !continued {
                    stream.bytes.push(b'\n');
                }
            }
            Piece::Text(bytes) => self.stream().bytes.extend(bytes),
            Piece::End => self.stream().break_pending = true,
        }
    }

    fn stream(&mut self) -> &mut Stream {
        self.streams.entry(self.current.clone()).or_default()
    }

    /// Everything that `name` wrote. A break at the very end counts as the
    /// client's own.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let Some(stream) = self.streams.get(name) else {
            return Vec::new();
        };
        let mut bytes = stream.bytes.clone();
        if stream.break_pending {
            bytes.push(b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::console::ConsoleParser;

    fn streams(com1: &[u8]) -> Streams {
        let mut parser = ConsoleParser::default();
        let mut streams = Streams::default();
        for piece in parser.push(com1).iter().chain(&parser.finish()) {
            streams.push(piece);
        }
        streams
    }

    #[test]
    fn an_interrupted_line_is_whole_again() {
        let all = streams(b"a| one\na| tw\nb| x\na+ o\nb| y\n");
        assert_eq!(all.bytes("a"), b"one\ntwo\n");
        assert_eq!(all.bytes("b"), b"x\ny\n");
    }

    #[test]
    fn text_without_prefix_stays_apart() {
        let all = streams(b"Booting\na| x\npanic\na| y");
        assert_eq!(all.bytes(MACHINE), b"Booting\npanic\n");
        assert_eq!(all.bytes("a"), b"x\ny");
        assert_eq!(all.bytes("nobody"), b"");
    }

    #[test]
    fn empty_lines_stay() {
        assert_eq!(streams(b"a| \na|\na| x\n").bytes("a"), b"\n\nx\n");
    }
}
