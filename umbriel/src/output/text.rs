//! Text on standard output.

use std::io::{self, ErrorKind, Write, stdout};

use crate::error::Result;

/// Prints `text`. A reader that has gone, such as `head`, has seen enough: that
/// is no error.
///
/// # Errors
/// Any other failure to write.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(io::Error::into(error)),
        _ => Ok(()),
    }
}
