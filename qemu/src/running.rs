//! A QEMU process, and the bytes that its machine writes.
//!
//! One thread per stream reads and sends events over a channel; a stream that
//! ends says so, and when all have ended the process is waited for. Dropping a
//! [`Running`] kills the process.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::machine::Machine;

/// A serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// COM1, 0x3f8.
    Com1,
    /// COM2, 0x2f8.
    Com2,
}

/// Something a machine did.
#[derive(Debug)]
pub enum Event {
    /// It wrote bytes to a serial port.
    Output(Port, Vec<u8>),
    /// QEMU ended; nothing comes after this.
    Ended(Ended),
}

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it said itself, without the profile's harmless messages.
    pub messages: String,
}

/// What the reading threads send.
#[derive(Debug)]
enum Chunk {
    Serial(Port, Vec<u8>),
    Message(Vec<u8>),
    StreamEnded,
}

/// What types at COM1.
#[derive(Debug)]
pub struct Keyboard {
    stream: UnixStream,
}

impl Keyboard {
    /// Sends `bytes`; waits while QEMU takes no more.
    ///
    /// # Errors
    /// If QEMU has ended.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

/// A machine that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    keyboard: Option<Keyboard>,
    chunks: Receiver<Chunk>,
    streams: usize,
    messages: Vec<u8>,
    harmless: Vec<String>,
    ended: bool,
}

impl Running {
    /// Starts `machine`.
    ///
    /// # Errors
    /// [`Error::NotInstalled`] or [`Error::Start`].
    pub fn start(machine: &Machine) -> Result<Running, Error> {
        let line = machine.command_line();
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::NotInstalled {
                program: machine.profile.program.clone(),
                debian_package: machine.profile.debian_package.clone(),
            },
            _ => Error::Start { command: line.to_string(), source },
        };
        let (ports, ends) = serial_ports(machine.profile.serial_ports).map_err(refused)?;
        let mut command = line.command();
        let mut ends = ends.into_iter();
        command.stdin(ends.next().map_or_else(Stdio::null, Stdio::from));
        command.stdout(ends.next().map_or_else(Stdio::null, Stdio::from));
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(refused)?;
        // `command` holds copies of QEMU's ends; while they live, no stream ends.
        drop(command);

        let stderr = child.stderr.take();
        let (sender, chunks) = mpsc::channel();
        let keyboard = ports.first().and_then(|port| port.try_clone().ok());
        let mut running = Running {
            child,
            keyboard: keyboard.map(|stream| Keyboard { stream }),
            chunks,
            streams: 0,
            messages: Vec::new(),
            harmless: machine.profile.harmless_messages.clone(),
            ended: false,
        };
        for (port, name) in ports.into_iter().zip([Port::Com1, Port::Com2]) {
            running.read(port, sender.clone(), move |bytes| Chunk::Serial(name, bytes));
        }
        if let Some(stderr) = stderr {
            running.read(stderr, sender, Chunk::Message);
        }
        Ok(running)
    }

    fn read(
        &mut self,
        mut stream: impl Read + Send + 'static,
        sender: Sender<Chunk>,
        wrap: impl Fn(Vec<u8>) -> Chunk + Send + 'static,
    ) {
        self.streams += 1;
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if sender.send(wrap(buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
            let _ = sender.send(Chunk::StreamEnded);
        });
    }

    /// Takes what types at COM1; once.
    pub fn keyboard(&mut self) -> Option<Keyboard> {
        self.keyboard.take()
    }

    /// Waits up to `wait` for the next event; `None` if there was none.
    pub fn next_event(&mut self, wait: Duration) -> Option<Event> {
        while self.streams > 0 {
            match self.chunks.recv_timeout(wait) {
                Ok(Chunk::Serial(port, bytes)) => return Some(Event::Output(port, bytes)),
                Ok(Chunk::Message(bytes)) => self.messages.extend(bytes),
                Ok(Chunk::StreamEnded) => self.streams -= 1,
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => self.streams = 0,
            }
        }
        if self.ended {
            return None;
        }
        self.ended = true;
        let status = self.child.wait().ok().and_then(|status| status.code());
        let messages = telling(&String::from_utf8_lossy(&self.messages), &self.harmless);
        Some(Event::Ended(Ended { status, messages }))
    }

    /// Ends QEMU at once. Events that it caused before may still come.
    pub fn kill(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.child.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// Makes `count` connected pairs: our ends, and QEMU's.
fn serial_ports(count: usize) -> io::Result<(Vec<UnixStream>, Vec<OwnedFd>)> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..count {
        let (our_end, their_end) = UnixStream::pair()?;
        ours.push(our_end);
        theirs.push(OwnedFd::from(their_end));
    }
    Ok((ours, theirs))
}

/// `messages` without the lines that end in a harmless one.
fn telling(messages: &str, harmless: &[String]) -> String {
    let tells =
        |line: &&str| !harmless.iter().any(|known| line.trim_end().ends_with(known.as_str()));
    messages.lines().filter(tells).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_messages_are_left_out() {
        let harmless = ["we don't".to_owned()];
        assert_eq!(telling("qemu: VBE. we don't\nqemu: no disk\n", &harmless), "qemu: no disk\n");
        assert_eq!(telling("we don't know\n", &harmless), "we don't know\n");
        assert_eq!(telling("", &harmless), "");
    }
}
