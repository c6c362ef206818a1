//! Guest bytes, made harmless for a terminal.
//!
//! Printable UTF-8 and tabs stay; every other byte or character is shown as
//! an escape: `\x1b`, `\xff`, `\u{202e}`. A carriage return at the end of a
//! line is dropped.

use std::fmt::Write;

/// Escapes a stream whose characters may arrive in parts.
#[derive(Debug, Default)]
pub struct Escaper {
    /// The beginning of a character, or a carriage return.
    held: Vec<u8>,
}

impl Escaper {
    /// Takes bytes of the present line; returns what can be shown now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend(bytes);
        let keep = held_bytes(&self.held);
        let rest = self.held.split_off(self.held.len() - keep);
        escape(&std::mem::replace(&mut self.held, rest))
    }

    /// The line's end: returns what was held back.
    pub fn end_line(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if held == b"\r" { String::new() } else { escape(&held) }
    }
}

/// How many bytes at the end must wait for what follows them.
fn held_bytes(bytes: &[u8]) -> usize {
    if bytes.last() == Some(&b'\r') {
        return 1;
    }
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    (1..=tail.len())
        .find(|length| {
            let part = &tail[tail.len() - length..];
            part[0] >= 0xc0 && std::str::from_utf8(part).is_err_and(|e| e.error_len().is_none())
        })
        .unwrap_or(0)
}

/// Escapes whole characters.
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_character(&mut shown, character);
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

fn push_character(shown: &mut String, character: char) {
    // Marks that reorder or hide neighbouring text on the screen.
    let deceptive = matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    let _ = match character {
        '\t' => write!(shown, "\t"),
        c if c.is_control() && c.is_ascii() => write!(shown, "\\x{:02x}", u32::from(c)),
        c if c.is_control() || deceptive => write!(shown, "{}", c.escape_unicode()),
        c => write!(shown, "{c}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_stays() {
        assert_eq!(escape("grün\t日本 \\x".as_bytes()), "grün\t日本 \\x");
    }

    #[test]
    fn terminal_sequences_do_not_reach_the_terminal() {
        assert_eq!(escape(b"\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
        assert_eq!(escape("\u{9b}2J\u{202e}".as_bytes()), "\\u{9b}2J\\u{202e}");
        assert_eq!(escape(b"a\xffb\xc3"), "a\\xffb\\xc3");
    }

    #[test]
    fn a_character_may_come_in_parts() {
        let text = "aü日😀b".as_bytes();
        for cut in 0..=text.len() {
            let mut escaper = Escaper::default();
            let shown =
                escaper.push(&text[..cut]) + &escaper.push(&text[cut..]) + &escaper.end_line();
            assert_eq!(shown, "aü日😀b", "cut at {cut}");
        }
    }

    #[test]
    fn only_the_last_carriage_return_goes() {
        let mut escaper = Escaper::default();
        let shown = escaper.push(b"a\r") + &escaper.push(b"b\r") + &escaper.end_line();
        assert_eq!(shown, "a\\x0db");
        assert_eq!(escaper.push(b"\xe2\x82"), "");
        assert_eq!(escaper.end_line(), "\\xe2\\x82");
    }

    #[test]
    fn bytes_that_begin_nothing_are_not_held() {
        let mut escaper = Escaper::default();
        assert_eq!(escaper.push(b"\x80"), "\\x80");
        assert_eq!(escaper.push(b"\xff"), "\\xff");
    }
}
