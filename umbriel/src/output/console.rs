//! The lines of COM1, taken apart.
//!
//! The console driver writes `NAME| text` for each line of a client, and
//! `NAME+ text` where it goes on with a line that another client interrupted;
//! the line break before a `+` line is the driver's. Everything else, such as
//! messages of a debug kernel, has no source.
//!
//! A guest cannot forge a prefix: the driver puts its own behind every line
//! break that the guest writes.

/// A part of COM1, in the order it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line begins.
    Start {
        /// The client that writes it; `None` for text without a prefix.
        source: Option<String>,
        /// Whether it goes on with the client's previous line.
        continued: bool,
    },
    /// Bytes of the line, never a line break.
    Text(Vec<u8>),
    /// The line ended with a line break.
    End,
}

/// Longest name that a prefix has.
const NAME_MAX: usize = 32;

/// Splits the bytes of COM1 into [`Piece`]s as they come.
#[derive(Debug, Default)]
pub struct ConsoleParser {
    /// What the present line has so far, while that may still be a prefix.
    head: Vec<u8>,
    /// Whether the present line's start was reported.
    in_line: bool,
}

/// What the first bytes of a line are.
enum Head {
    Undecided,
    Prefix { name_bytes: usize, prefix_bytes: usize },
    NoPrefix,
}

impl ConsoleParser {
    /// Takes the next bytes of COM1.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.in_line {
                rest = self.text(rest, &mut pieces);
            } else {
                self.head.push(rest[0]);
                rest = &rest[1..];
                self.decide(&mut pieces);
            }
        }
        pieces
    }

    /// The end of the port's bytes: what was held back comes as text.
    pub fn finish(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if !self.head.is_empty() {
            self.begin(None, false, &mut pieces);
            pieces.push(Piece::Text(std::mem::take(&mut self.head)));
        }
        pieces
    }

    fn text<'a>(&mut self, bytes: &'a [u8], pieces: &mut Vec<Piece>) -> &'a [u8] {
        let length = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at(length);
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_vec()));
        }
        let Some((_, rest)) = rest.split_first() else {
            return rest;
        };
        pieces.push(Piece::End);
        self.in_line = false;
        rest
    }

    fn decide(&mut self, pieces: &mut Vec<Piece>) {
        let head = match head(&self.head) {
            Head::Undecided => return,
            other => other,
        };
        let bytes = std::mem::take(&mut self.head);
        let text_at = match head {
            Head::Prefix { name_bytes, prefix_bytes } => {
                let name = String::from_utf8_lossy(&bytes[..name_bytes]).into_owned();
                self.begin(Some(name), bytes[name_bytes] == b'+', pieces);
                prefix_bytes
            }
            _ => {
                self.begin(None, false, pieces);
                0
            }
        };
        self.text(&bytes[text_at..], pieces);
    }

    fn begin(&mut self, source: Option<String>, continued: bool, pieces: &mut Vec<Piece>) {
        self.in_line = true;
        pieces.push(Piece::Start { source, continued });
    }
}

/// Judges the first bytes of a line.
fn head(bytes: &[u8]) -> Head {
    let legal = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/');
    let name_bytes = bytes.iter().take_while(|byte| legal(byte)).count();
    match &bytes[name_bytes..] {
        [] if name_bytes <= NAME_MAX => Head::Undecided,
        [b'|' | b'+', ..] if !(1..=NAME_MAX).contains(&name_bytes) => Head::NoPrefix,
        [b'|' | b'+'] => Head::Undecided,
        [b'|' | b'+', b' ', ..] => Head::Prefix { name_bytes, prefix_bytes: name_bytes + 2 },
        [b'|' | b'+', b'\n', ..] => Head::Prefix { name_bytes, prefix_bytes: name_bytes + 1 },
        _ => Head::NoPrefix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins neighbouring texts, which the parser may cut anywhere.
    fn parse(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut parser = ConsoleParser::default();
        let mut pieces: Vec<Piece> = chunks.iter().flat_map(|chunk| parser.push(chunk)).collect();
        pieces.extend(parser.finish());
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(text)), Piece::Text(more)) => text.extend(more),
                (_, piece) => joined.push(piece),
            }
        }
        joined
    }

    fn start(source: &str) -> Piece {
        Piece::Start { source: Some(source.into()), continued: false }
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn lines_have_sources() {
        let pieces = parse(&[b"web| hi\nump\nweb-2+ there\nweb| \nweb|\n"]);
        let continued = Piece::Start { source: Some("web-2".into()), continued: true };
        let none = Piece::Start { source: None, continued: false };
        let end = Piece::End;
        assert_eq!(
            pieces,
            [
                vec![start("web"), text("hi"), end.clone()],
                vec![none, text("ump"), end.clone()],
                vec![continued, text("there"), end.clone()],
                vec![start("web"), end.clone(), start("web"), end],
            ]
            .concat()
        );
    }

    #[test]
    fn only_a_whole_prefix_counts() {
        let long = format!("{}| x\n", "a".repeat(33));
        for line in ["| x\n", "We| x\n", "web x| y\n", "a+b\n", "\n", "web", "web|", &long] {
            let pieces = parse(&[line.as_bytes()]);
            assert_eq!(pieces[0], Piece::Start { source: None, continued: false }, "{line:?}");
        }
    }

    #[test]
    fn a_guest_cannot_write_for_another() {
        // What the driver makes of the guest's bytes "x\nb| y".
        let pieces = parse(&[b"a| x\na| b| y\n"]);
        assert_eq!(pieces[3..], [start("a"), text("b| y"), Piece::End]);
    }

    #[test]
    fn cuts_make_no_difference() {
        let whole: &[u8] = b"web| one\nboot text\nweb+ t\xffwo\nb|\nhalf";
        let expected = parse(&[whole]);
        for cut in 0..whole.len() {
            let (left, right) = whole.split_at(cut);
            assert_eq!(parse(&[left, right]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(parse(&bytes), expected);
    }
}
