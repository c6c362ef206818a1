//! `run --stdin GUEST`: what is typed here goes to a guest's UART.

use std::io::{self, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use protocol::console::CHOOSE;
use qemu::{Keyboard, Port};

use crate::machine::Observer;
use crate::output::console::Piece;
use crate::output::record::{Content, Record};

/// The bytes that tell the console driver who gets what follows.
pub fn choose(guest: &str) -> Vec<u8> {
    [&[CHOOSE], guest.as_bytes(), b"\n"].concat()
}

/// The terminal in raw mode: bytes come as they are typed, without echo, and
/// Ctrl-C is a byte like others. Dropping it restores the mode of before.
#[derive(Debug)]
pub struct RawTerminal {
    before: String,
}

impl RawTerminal {
    /// Sets raw mode, if standard input is a terminal that can.
    pub fn enter() -> Option<RawTerminal> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = stty(&["-g"])?.trim().to_owned();
        let raw = RawTerminal { before };
        stty(&[
            "-icanon", "-echo", "-isig", "-iexten", "-ixon", "-icrnl", "min", "1", "time", "0",
        ])?;
        Some(raw)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // If it fails, `stty sane` typed blindly helps; nothing here would.
        let _ = stty(&[&self.before]);
    }
}

/// What `stty` says about, or does to, the terminal at standard input.
fn stty(args: &[&str]) -> Option<String> {
    let output = Command::new("stty").args(args).stdin(Stdio::inherit()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends standard input to a guest from its start on, and hands everything
/// on to another observer.
pub struct Typing<'a> {
    inner: &'a mut dyn Observer,
    guest: &'a str,
    keyboard: Option<Keyboard>,
    leave: Arc<AtomicBool>,
}

impl<'a> Typing<'a> {
    /// For `guest`; Ctrl-] at a terminal sets `leave`.
    pub fn new(inner: &'a mut dyn Observer, guest: &'a str, leave: Arc<AtomicBool>) -> Typing<'a> {
        Typing { inner, guest, keyboard: None, leave }
    }

    /// Before that, the console driver would not listen.
    fn begin(&mut self) {
        if let Some(mut keyboard) = self.keyboard.take()
            && keyboard.send(&choose(self.guest)).is_ok()
        {
            let leave = Arc::clone(&self.leave);
            thread::spawn(move || forward(&mut io::stdin(), &mut keyboard, &leave));
        }
    }
}

impl Observer for Typing<'_> {
    fn piece(&mut self, piece: &Piece) {
        self.inner.piece(piece);
    }

    fn record(&mut self, record: &Record) {
        if matches!(&record.content, Content::GuestStarted { guest } if guest == self.guest) {
            self.begin();
        }
        self.inner.record(record);
    }

    fn keyboard(&mut self, keyboard: Keyboard) {
        self.keyboard = Some(keyboard);
    }

    fn bytes(&mut self, port: Port, bytes: &[u8]) {
        self.inner.bytes(port, bytes);
    }
}

/// Sends what comes until it ends or says to leave.
fn forward(from: &mut impl Read, keyboard: &mut Keyboard, leave: &AtomicBool) {
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let (typed, leaves) = until_leave(&buffer[..length]);
        if keyboard.send(typed).is_err() {
            return;
        }
        if leaves {
            leave.store(true, Ordering::Relaxed);
            return;
        }
    }
}

/// The bytes before Ctrl-], and whether it is there.
fn until_leave(bytes: &[u8]) -> (&[u8], bool) {
    match bytes.iter().position(|byte| *byte == CHOOSE) {
        Some(at) => (&bytes[..at], true),
        None => (bytes, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_bracket_leaves_and_goes_nowhere() {
        assert_eq!(until_leave(b"abc"), (&b"abc"[..], false));
        assert_eq!(until_leave(b"ab\x1dc"), (&b"ab"[..], true));
        assert_eq!(until_leave(b"\x1d"), (&b""[..], true));
    }

    #[test]
    fn the_choice_is_what_the_driver_expects() {
        assert_eq!(choose("web"), b"\x1dweb\n");
    }
}
