//! The driver's loop.

use console::lines::{Lines, Sink};
use console::uart::{Ports, Uart};
use protocol::badge::DRIVER_SUPERVISOR;
use protocol::console::{CONTROL, MAX_BYTES, NAME, OK, WRITE};
use protocol::counters::Driver;
use protocol::{REFUSED, bytes};
use sel4::runtime::StartupPage;
use sel4::{MessageInfo, RecvWithMRs, cap, ipc_buffer};
use system::cspace::{self, driver};
use system::name::{NAME_BYTES, Name};
use zerocopy::FromBytes;

sel4::process!(main);

/// Clients: process numbers, and the supervisor as the last.
const CLIENTS: usize = 64;
const SUPERVISOR: usize = CLIENTS - 1;

/// A UART's ports behind a capability.
struct PortCap {
    ports: cap::IOPort,
    base: u16,
}

impl Ports for PortCap {
    fn read(&mut self, register: u16) -> u8 {
        // A refused port reads as a UART that never becomes ready.
        self.ports.ioport_in8(self.base + register).unwrap_or(0)
    }

    fn write(&mut self, register: u16, value: u8) {
        // As above: nobody is there to be told.
        let _ = self.ports.ioport_out8(self.base + register, value);
    }
}

struct Com(Uart<PortCap>);

impl Com {
    fn new(slot: u64, base: u16) -> Self {
        Self(Uart::new(PortCap {
            ports: cap::IOPort::from_bits(slot),
            base,
        }))
    }
}

impl Sink for Com {
    fn put(&mut self, byte: u8) {
        self.0.put(byte);
    }
}

struct Console {
    people: Com,
    control: Com,
    lines: Lines<CLIENTS>,
    names: [Name; CLIENTS],
}

fn main(page: StartupPage) -> ! {
    process::start(page);
    let endpoint = cap::Endpoint::from_bits(cspace::process::ENDPOINT);
    let mut console = Console {
        people: Com::new(driver::PORTS_A, 0x3f8),
        control: Com::new(driver::PORTS_B, 0x2f8),
        lines: Lines::new(),
        names: [Name::EMPTY; CLIENTS],
    };
    let mut message = endpoint.recv_with_mrs();
    loop {
        let label = match console.serve(&message) {
            Some(()) => OK,
            None => {
                process::count(Driver::Refused);
                REFUSED
            }
        };
        message = endpoint.reply_recv_with_mrs(MessageInfo::new(label, 0, 0, 0), []);
    }
}

/// The client that a badge stands for.
fn client(badge: u64) -> Option<usize> {
    match badge {
        DRIVER_SUPERVISOR => Some(SUPERVISOR),
        _ => (badge as usize)
            .checked_sub(1)
            .filter(|client| *client < SUPERVISOR),
    }
}

impl Console {
    /// Serves a message; `None` if it is malformed or not for its sender.
    fn serve(&mut self, message: &RecvWithMRs) -> Option<()> {
        let sender = client(message.badge)?;
        let [first, ..] = message.msg;
        let mut content = [0; MAX_BYTES];
        unpack(message, &mut content);
        match message.info.label() {
            WRITE => {
                let text = content.get(..usize::try_from(first).ok()?)?;
                let name = self.names[sender];
                self.lines
                    .write(sender, name.as_str(), text, &mut self.people);
            }
            CONTROL if sender == SUPERVISOR => {
                let text = content.get(..usize::try_from(first).ok()?)?;
                text.iter().for_each(|byte| self.control.put(*byte));
            }
            NAME if sender == SUPERVISOR => {
                let name = Name::read_from_bytes(content.get(..NAME_BYTES)?).ok()?;
                self.names[client(first)?] = name;
            }
            _ => return None,
        }
        Some(())
    }
}

/// The bytes behind the first word of a message; zeros behind its end.
fn unpack(message: &RecvWithMRs, content: &mut [u8; MAX_BYTES]) {
    let words = message.info.length().saturating_sub(1);
    let fast = message.msg[1..].iter().copied();
    let rest = ipc_buffer().msg_regs()[message.msg.len()..]
        .iter()
        .map(|word| word.get());
    let sent = bytes::unpack(fast.chain(rest).take(words));
    content
        .iter_mut()
        .zip(sent)
        .for_each(|(to, from)| *to = from);
}
