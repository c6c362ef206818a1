//! What the supervisor says: lines for people on COM1, control records on COM2.
//!
//! Both go through the console driver by a send that does not wait: a console
//! that dies must not stop the supervisor. Nothing is lost while it lives, since
//! it runs above the supervisor and so waits for messages whenever the
//! supervisor runs. Once it is known to be dead, the supervisor writes to the
//! ports itself.

use core::fmt::{self, Write};

use heapless::String;
use protocol::{bytes, console};
use sel4::{MessageInfo, cap, init_thread, ipc_buffer};
use sel4_root_task::SerialPort;
use system::name::Name;

/// Longest line or record in bytes; the rest is cut.
const LINE_BYTES: usize = 896;
const _: () = assert!(LINE_BYTES < console::MAX_BYTES);

/// Where the supervisor's words go.
pub struct Voice {
    console: Option<cap::Endpoint>,
}

impl Voice {
    /// Speaks through the ports until there is a console.
    pub const fn new() -> Self {
        Self { console: None }
    }

    /// Speaks through the console driver at `endpoint` from now on.
    pub fn through(&mut self, endpoint: cap::Endpoint) {
        self.console = Some(endpoint);
    }

    /// Speaks through the ports again: the console is dead.
    pub fn lost_console(&mut self) {
        self.console = None;
    }

    /// Tells the console what the client with `badge` is called.
    pub fn introduce(&self, badge: u64, name: &Name) {
        let Some(console) = self.console else { return };
        let mut bytes = [0; system::name::NAME_BYTES];
        let text = name.as_str().as_bytes();
        bytes[..text.len()].copy_from_slice(text);
        send(console, console::NAME, badge, &bytes);
    }

    /// Says a line to people.
    pub fn line(&self, text: fmt::Arguments<'_>) {
        self.say(console::WRITE, SerialPort::COM1, text);
    }

    /// Writes a control record: `text` is one JSON object.
    pub fn record(&self, text: fmt::Arguments<'_>) {
        self.say(console::CONTROL, SerialPort::COM2, text);
    }

    fn say(&self, label: u64, port: u16, text: fmt::Arguments<'_>) {
        let mut line = String::<LINE_BYTES>::new();
        // A line that is too long is cut at the piece that does not fit.
        let _ = line.write_fmt(text);
        if line.push('\n').is_err() {
            line.pop();
            let _ = line.push('\n');
        }
        match self.console {
            Some(console) => send(console, label, line.len() as u64, line.as_bytes()),
            None => {
                let serial = SerialPort::new(init_thread::slot::IO_PORT_CONTROL.cast(), port);
                if port == SerialPort::COM1 {
                    let _ = serial.send(b"umbriel| ");
                }
                // Nobody is left to tell of a port that refuses.
                let _ = serial.send(line.as_bytes());
            }
        }
    }
}

fn send(console: cap::Endpoint, label: u64, first: u64, text: &[u8]) {
    let buffer = ipc_buffer();
    let registers = buffer.msg_regs();
    registers[0].set(first);
    let mut length = 1;
    for (register, word) in registers[1..].iter().zip(bytes::pack(text)) {
        register.set(word);
        length += 1;
    }
    console.nb_send(MessageInfo::new(label, 0, 0, length));
}
