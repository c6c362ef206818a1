//! The Solo5 hvt tender: eight hypercalls through ports.
//!
//! A guest writes the guest-physical address of an argument structure, 32 bits
//! wide, to port `0x500 + n`; results go back into that structure (Solo5,
//! `include/hvt_abi.h`, ABI 1 and 2). The tender's own messages go into the
//! guest's stream, as a terminal would show them.

use core::fmt;

use protocol::exit::{Completion, Exit};
use protocol::supervisor::Cause;

use crate::host::{Host, OutsideRam};
use crate::output::Output;
use crate::platform::Action;

/// Port of hypercall 0; number `n` is at `FIRST_PORT + n`.
const FIRST_PORT: u16 = 0x500;
/// Status of a guest that its tender refuses to run further.
const REFUSED: u64 = 1;
/// Bytes of a trap frame that a halting guest may point to.
const COOKIE_BYTES: u64 = 512;
/// Bytes that move at a time from guest memory to the console.
const CHUNK: usize = 512;

/// The tender. The hypercalls keep no state between calls: no device is
/// attached so far.
pub struct Tender {}

/// Why the tender refuses to go on.
enum Refusal {
    /// A pointer leaves guest memory.
    Pointer { gpa: u64, length: u64 },
    /// No such hypercall, or one of a device that is not attached.
    Hypercall { port: u16, size: u8 },
}

impl From<&Buffer> for Refusal {
    fn from(buffer: &Buffer) -> Self {
        Self::Pointer { gpa: buffer.gpa, length: buffer.length }
    }
}

/// The argument structure that a hypercall points to.
struct Argument {
    gpa: u64,
    /// Its first two words, if they came with the exit.
    words: Option<[u64; 2]>,
}

/// A range that the guest claims is memory.
struct Buffer {
    gpa: u64,
    length: u64,
}

impl Buffer {
    /// Upstream's rule: both the start and the end lie below the memory's
    /// size, so the last byte of memory is refused.
    fn checked(self, host: &impl Host) -> Result<Self, Refusal> {
        match self.gpa.checked_add(self.length) {
            Some(end) if self.gpa < host.memory_bytes() && end < host.memory_bytes() => Ok(self),
            _ => Err(Refusal::from(&self)),
        }
    }
}

impl Tender {
    /// A tender with no devices.
    pub const fn new() -> Self {
        Self {}
    }

    /// Serves an exit.
    pub fn serve(&mut self, exit: Exit, output: &mut Output, host: &mut impl Host) -> Action {
        match exit {
            Exit::PortOut { port, size, value, argument } => {
                let argument = Argument { gpa: u64::from(value), words: argument };
                match hypercall(port, size, &argument, output, host) {
                    Ok(action) => action,
                    Err(refusal) => explain(&refusal, output, host),
                }
            }
            Exit::PortIn { port, size } => {
                explain(&Refusal::Hypercall { port, size }, output, host)
            }
            Exit::ReadMsr { .. } | Exit::WriteMsr { .. } => {
                Action::Complete(Completion::GeneralProtection)
            }
            Exit::ReadOnlyMemory { rip, .. } | Exit::NotRam { rip, .. } => refuse(
                output,
                host,
                format_args!("umbriel: host/guest translation fault: rip={rip:#x}"),
            ),
            Exit::Woken { .. } => Action::Wait,
            Exit::Halt { .. } | Exit::Shutdown | Exit::Unsupported { .. } => {
                refuse(output, host, format_args!("umbriel: the guest halted"))
            }
        }
    }
}

fn hypercall(
    port: u16,
    size: u8,
    argument: &Argument,
    output: &mut Output,
    host: &mut impl Host,
) -> Result<Action, Refusal> {
    if size != 4 {
        return Err(Refusal::Hypercall { port, size });
    }
    match port.wrapping_sub(FIRST_PORT) {
        1 => wall_time(argument, host),
        2 => puts(argument, output, host),
        3 => poll(argument, output, host),
        8 => halt(argument, output, host),
        _ => Err(Refusal::Hypercall { port, size }),
    }
}

fn wall_time(argument: &Argument, host: &mut impl Host) -> Result<Action, Refusal> {
    Buffer { gpa: argument.gpa, length: 8 }.checked(host)?;
    let now = host.wall_time_ns();
    store(argument.gpa, &now.to_le_bytes(), host)?;
    Ok(Action::DONE)
}

fn puts(argument: &Argument, output: &mut Output, host: &mut impl Host) -> Result<Action, Refusal> {
    let [gpa, length] = words(argument, host)?;
    let text = Buffer { gpa, length }.checked(host)?;
    let mut chunk = [0; CHUNK];
    let mut done = 0;
    while done < text.length {
        let count = (text.length - done).min(CHUNK as u64) as usize;
        load(text.gpa + done, &mut chunk[..count], host)?;
        output.write(&chunk[..count], host);
        done += count as u64;
    }
    Ok(Action::DONE)
}

/// No network device is attached, so a poll is a sleep that finds nothing.
fn poll(argument: &Argument, output: &mut Output, host: &mut impl Host) -> Result<Action, Refusal> {
    let [timeout_ns] = words(argument, host)?;
    Buffer { gpa: argument.gpa, length: 20 }.checked(host)?;
    output.flush(host);
    host.sleep_ns(timeout_ns);
    store(argument.gpa + 8, &[0; 12], host)?;
    Ok(Action::DONE)
}

fn halt(argument: &Argument, output: &mut Output, host: &mut impl Host) -> Result<Action, Refusal> {
    let [cookie, status] = words(argument, host)?;
    if cookie != 0 {
        Buffer { gpa: cookie, length: COOKIE_BYTES }.checked(host)?;
    }
    output.flush(host);
    Ok(Action::End { status: status & 0xff, cause: Cause::Exit })
}

/// The argument structure's first words.
fn words<const N: usize>(argument: &Argument, host: &mut impl Host) -> Result<[u64; N], Refusal> {
    let structure = Buffer { gpa: argument.gpa, length: 8 * N as u64 }.checked(host)?;
    if let Some(words) = argument.words.as_ref().and_then(|words| words.first_chunk()) {
        return Ok(*words);
    }
    let mut bytes = [[0; 8]; N];
    host.read_guest(argument.gpa, bytes.as_flattened_mut())
        .map_err(|OutsideRam| Refusal::from(&structure))?;
    Ok(bytes.map(u64::from_le_bytes))
}

fn load(gpa: u64, bytes: &mut [u8], host: &mut impl Host) -> Result<(), Refusal> {
    let length = bytes.len() as u64;
    host.read_guest(gpa, bytes).map_err(|OutsideRam| Refusal::Pointer { gpa, length })
}

fn store(gpa: u64, bytes: &[u8], host: &mut impl Host) -> Result<(), Refusal> {
    let length = bytes.len() as u64;
    host.write_guest(gpa, bytes).map_err(|OutsideRam| Refusal::Pointer { gpa, length })
}

fn explain(refusal: &Refusal, output: &mut Output, host: &mut impl Host) -> Action {
    match refusal {
        Refusal::Pointer { gpa, length } => refuse(
            output,
            host,
            format_args!("umbriel: invalid guest access: gpa={gpa:#x} len={length}"),
        ),
        Refusal::Hypercall { port, size } => refuse(
            output,
            host,
            format_args!("umbriel: invalid guest port access: port={port:#x} size={size}"),
        ),
    }
}

fn refuse(output: &mut Output, host: &mut impl Host, text: fmt::Arguments<'_>) -> Action {
    output.message(host, text);
    Action::End { status: REFUSED, cause: Cause::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    /// The hypercall without and with the argument's words in the exit, which
    /// must make no difference.
    fn call(host: &mut Fake, number: u16, argument: u32) -> Action {
        let mut twin = host.clone();
        let words = [0, 8].map(|offset| {
            let mut bytes = [0; 8];
            let gpa = u64::from(argument) + offset;
            twin.read_guest(gpa, &mut bytes).ok().map(|()| u64::from_le_bytes(bytes))
        });
        let [first, second] = words;
        let with = first.zip(second).map(|(first, second)| [first, second]);
        let action = exit(host, number, argument, None);
        assert_eq!(exit(&mut twin, number, argument, with), action);
        assert!(twin.writes == host.writes && twin.memory == host.memory);
        action
    }

    fn exit(host: &mut Fake, number: u16, value: u32, argument: Option<[u64; 2]>) -> Action {
        let mut output = Output::new();
        let exit = Exit::PortOut { port: FIRST_PORT + number, size: 4, value, argument };
        let action = Tender::new().serve(exit, &mut output, host);
        output.flush(host);
        action
    }

    fn refused(action: Action) -> bool {
        action == Action::End { status: 1, cause: Cause::Refused }
    }

    #[test]
    fn puts_writes_bytes_as_they_are() {
        let mut host = Fake::default();
        host.put_u64(0x100, 0x200);
        host.put_u64(0x108, 3);
        host.memory[0x200..0x203].copy_from_slice(b"a\0b");
        assert_eq!(call(&mut host, 2, 0x100), Action::DONE);
        assert_eq!(host.text(), "a\0b");
    }

    #[test]
    fn long_puts_arrive_whole() {
        let mut host = Fake::default();
        host.put_u64(0x100, 0x200);
        host.put_u64(0x108, 3000);
        for (index, byte) in host.memory[0x200..0x200 + 3000].iter_mut().enumerate() {
            *byte = b'a' + (index % 26) as u8;
        }
        let expected = String::from_utf8(host.memory[0x200..0x200 + 3000].to_vec()).unwrap();
        assert_eq!(call(&mut host, 2, 0x100), Action::DONE);
        assert_eq!(host.text(), expected);
    }

    #[test]
    fn pointers_outside_memory_end_the_guest() {
        let size = Fake::default().memory_bytes();
        for (gpa, length) in [(size, 0), (size - 1, 1), (u64::MAX, 2), (0, u64::MAX), (0, size)] {
            let mut host = Fake::default();
            host.put_u64(0x100, gpa);
            host.put_u64(0x108, length);
            assert!(refused(call(&mut host, 2, 0x100)), "{gpa:#x}+{length:#x}");
            assert!(host.text().contains("invalid guest access"));
        }
        assert!(refused(call(&mut Fake::default(), 2, u32::MAX)));
    }

    #[test]
    fn the_last_byte_is_refused_as_upstream_does() {
        let mut host = Fake::default();
        let size = host.memory_bytes();
        host.put_u64(0x100, size - 2);
        host.put_u64(0x108, 1);
        assert_eq!(call(&mut host, 2, 0x100), Action::DONE);
        host.put_u64(0x100, size - 1);
        assert!(refused(call(&mut host, 2, 0x100)));
    }

    #[test]
    fn poll_sleeps_and_finds_nothing() {
        let mut host = Fake::default();
        host.put_u64(0x100, 1_000_000_000);
        host.put_u64(0x108, 77);
        host.put_u64(0x110, 77);
        assert_eq!(call(&mut host, 3, 0x100), Action::DONE);
        assert_eq!(host.slept_ns, 1_000_000_000);
        assert_eq!(host.memory[0x108..0x114], [0; 12]);
    }

    #[test]
    fn wall_time_is_stored() {
        let mut host = Fake::default();
        assert_eq!(call(&mut host, 1, 0x100), Action::DONE);
        assert_eq!(host.memory[0x100..0x108], Fake::WALL_TIME.to_le_bytes());
    }

    #[test]
    fn halt_gives_the_low_byte() {
        let mut host = Fake::default();
        host.put_u64(0x108, 0x1ff);
        assert_eq!(call(&mut host, 8, 0x100), Action::End { status: 255, cause: Cause::Exit });
        host.put_u64(0x100, u64::MAX);
        assert!(refused(call(&mut host, 8, 0x100)));
    }

    #[test]
    fn devices_that_are_not_attached_and_other_ports_end_the_guest() {
        for number in [0, 4, 5, 6, 7, 9, 0x100] {
            assert!(refused(call(&mut Fake::default(), number, 0x100)), "{number}");
        }
        let mut output = Output::new();
        let exit = Exit::PortOut { port: 0x502, size: 1, value: 0, argument: None };
        let action = Tender::new().serve(exit, &mut output, &mut Fake::default());
        assert!(refused(action));
    }
}
