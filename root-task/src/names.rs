//! Names of processes, for people.

use core::fmt::Write;

use heapless::String;
use system::compiled::{Guest, ProgramKind};
use system::name::{NAME_BYTES, Name};

/// `shadow-server/web` for a process of a guest, `console` for one of its own.
/// A guest's name that is too long for that is cut.
pub fn process(program: ProgramKind, guest: Option<&Guest>) -> Name {
    let mut text = String::<{ 2 * NAME_BYTES }>::new();
    // Both parts are at most NAME_BYTES long, and the program's much shorter.
    let _ = match guest {
        Some(guest) => write!(text, "{}/{}", program.name(), guest.name),
        None => write!(text, "{}", program.name()),
    };
    let end = text.len().min(NAME_BYTES);
    Name::new(text.get(..end).unwrap_or_default()).unwrap_or(NAMELESS)
}

const NAMELESS: Name = Name::EMPTY;
