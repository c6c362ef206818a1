//! The console driver's requests.
//!
//! `WRITE` carries bytes of the sender's own stream to COM1, where the driver
//! prefixes each line with the sender's name. `CONTROL` carries bytes of
//! control records to COM2; only the supervisor's badge may use it. `NAME` tells
//! the driver what a client is called; supervisor only. `READ` takes bytes that
//! were typed at COM1 for the sender.
//!
//! Word 0 is the number of bytes (for `NAME`: the client's badge), the bytes
//! follow eight to a word.

/// Bytes for COM1.
pub const WRITE: u64 = 0x300;
/// Bytes for COM2, from the supervisor only.
pub const CONTROL: u64 = 0x301;
/// Word 0: a client's badge; words 1 to 4: its name.
pub const NAME: u64 = 0x302;
/// Answer to all of them.
pub const OK: u64 = 0x303;
/// Takes input. Word 0: most bytes wanted. Answer: their number, at most
/// [`READ_BYTES`], then the bytes. Fewer than wanted: there is no more.
pub const READ: u64 = 0x304;
/// Most bytes of input in one answer.
pub const READ_BYTES: usize = 24;
/// A byte of COM1's input that chooses who gets what follows: behind it comes
/// the name of a client and a line feed. Ctrl-] at a terminal.
pub const CHOOSE: u8 = 0x1d;

/// Most bytes in one message.
pub const MAX_BYTES: usize = 119 * 8;

/// What stands between a client's name and its text at the start of a line.
pub const LINE_MARK: u8 = b'|';
/// The same where the line continues one that another client interrupted.
pub const CONTINUED_MARK: u8 = b'+';
