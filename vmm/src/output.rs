//! The guest's text, gathered into lines before it goes to the console.

use core::fmt;

use crate::host::Host;

/// Bytes that are gathered at most.
const CAPACITY: usize = 240;

/// Text that has not been sent yet. It goes out at each line feed, when it is
/// full, and whenever the guest stops running (sleep, halt, end).
pub struct Output {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Output {
    /// Nothing gathered.
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: 0 }
    }

    /// Adds `bytes`, sending whole lines.
    pub fn write(&mut self, bytes: &[u8], host: &mut impl Host) {
        for &byte in bytes {
            self.bytes[self.length] = byte;
            self.length += 1;
            if byte == b'\n' || self.length == CAPACITY {
                self.flush(host);
            }
        }
    }

    /// Sends what is gathered.
    pub fn flush(&mut self, host: &mut impl Host) {
        if self.length > 0 {
            host.console(&self.bytes[..self.length]);
            self.length = 0;
        }
    }

    /// Adds a message of the platform itself, on a line of its own.
    pub fn message(&mut self, host: &mut impl Host, text: fmt::Arguments<'_>) {
        if self.length > 0 {
            self.write(b"\n", host);
        }
        let mut writer = Writer { output: self, host };
        // Writing to the console cannot fail.
        let _ = fmt::write(&mut writer, text);
        self.write(b"\n", host);
    }
}

struct Writer<'a, H> {
    output: &'a mut Output,
    host: &'a mut H,
}

impl<H: Host> fmt::Write for Writer<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.output.write(text.as_bytes(), self.host);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn lines_go_out_whole() {
        let mut host = Fake::default();
        let mut output = Output::new();
        output.write(b"a", &mut host);
        assert!(host.writes.is_empty());
        output.write(b"b\nc", &mut host);
        assert_eq!(host.writes, [b"ab\n".to_vec()]);
        output.flush(&mut host);
        output.flush(&mut host);
        assert_eq!(host.text(), "ab\nc");
    }

    #[test]
    fn long_lines_go_out_in_pieces_without_loss() {
        let mut host = Fake::default();
        let mut output = Output::new();
        let line = "x".repeat(1000);
        output.write(line.as_bytes(), &mut host);
        output.flush(&mut host);
        assert_eq!(host.text(), line);
    }

    #[test]
    fn messages_start_on_a_line_of_their_own() {
        let mut host = Fake::default();
        let mut output = Output::new();
        output.write(b"half", &mut host);
        output.message(&mut host, format_args!("stop {}", 1));
        assert_eq!(host.text(), "half\nstop 1\n");
    }
}
