//! The lines of COM1 as people see them: coloured prefixes, escaped text.

use std::io::{self, Write};

use crate::output::console::Piece;
use crate::output::escape::Escaper;

/// ANSI colours of the prefixes, given out in order of appearance.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Shows pieces of COM1 as they come.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    coloured: bool,
    known: Vec<String>,
    escaper: Escaper,
    line_open: bool,
}

impl<W: Write> Screen<W> {
    /// Shows on `out`; `coloured` if that is a terminal.
    pub fn new(out: W, coloured: bool) -> Screen<W> {
        Screen { out, coloured, known: Vec::new(), escaper: Escaper::default(), line_open: false }
    }

    /// Shows a piece.
    ///
    /// # Errors
    /// As of `out`, for example if the reader of a pipe has gone.
    pub fn piece(&mut self, piece: &Piece) -> io::Result<()> {
        match piece {
            Piece::Start { source, continued } => {
                self.line_open = true;
                if let Some(name) = source {
                    self.prefix(name, if *continued { '+' } else { '|' })?;
                }
            }
            Piece::Text(bytes) => {
                let shown = self.escaper.push(bytes);
                self.out.write_all(shown.as_bytes())?;
            }
            Piece::End => self.close_line()?,
        }
        self.out.flush()
    }

    /// Shows a line of the tool's own.
    ///
    /// # Errors
    /// As of `out`.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        if self.line_open {
            self.close_line()?;
        }
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Ends a line that the machine left open.
    ///
    /// # Errors
    /// As of `out`.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.line_open {
            self.close_line()?;
        }
        self.out.flush()
    }

    fn close_line(&mut self) -> io::Result<()> {
        self.line_open = false;
        let held = self.escaper.end_line();
        writeln!(self.out, "{held}")
    }

    fn prefix(&mut self, name: &str, mark: char) -> io::Result<()> {
        if !self.coloured {
            return write!(self.out, "{name}{mark} ");
        }
        let index = self.known.iter().position(|known| known == name).unwrap_or_else(|| {
            self.known.push(name.to_owned());
            self.known.len() - 1
        });
        write!(self.out, "\x1b[{}m{name}{mark}\x1b[0m ", COLOURS[index % COLOURS.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::console::ConsoleParser;

    fn shown(com1: &[u8], coloured: bool) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, coloured);
        let mut parser = ConsoleParser::default();
        for piece in parser.push(com1).iter().chain(&parser.finish()) {
            screen.piece(piece).unwrap();
        }
        screen.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_output_is_the_escaped_port() {
        assert_eq!(
            shown(b"boot\na| x\x1b\r\nb| \xff\na+ y", false),
            "boot\na| x\\x1b\nb| \\xff\na+ y\n"
        );
    }

    #[test]
    fn each_name_has_a_colour() {
        let text = shown(b"a| x\nb| y\na| z\n", true);
        assert_eq!(text, "\x1b[36ma|\x1b[0m x\n\x1b[33mb|\x1b[0m y\n\x1b[36ma|\x1b[0m z\n");
    }

    #[test]
    fn own_lines_do_not_cut_into_guest_lines() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, false);
        for piece in ConsoleParser::default().push(b"a| half") {
            screen.piece(&piece).unwrap();
        }
        screen.line("note").unwrap();
        assert_eq!(out, b"a| half\nnote\n");
    }
}
