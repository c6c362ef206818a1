//! The driver's loop.

use console::input::Input;
use console::lines::{Lines, Sink};
use console::uart::{Ports, Uart};
use protocol::badge::{DRIVER_SUPERVISOR, NOTIFICATION};
use protocol::console::{CONTROL, MAX_BYTES, NAME, OK, READ, READ_BYTES, WRITE};
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
/// Bytes taken from the UART at a time; a line that never ends must not keep
/// the clients waiting for ever.
const MAX_RECEIVED: usize = 256;

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
        Self(Uart::new(PortCap { ports: cap::IOPort::from_bits(slot), base }))
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
    input: Input,
    irq: cap::IrqHandler,
    names: [Name; CLIENTS],
}

fn main(page: StartupPage) -> ! {
    process::start(page);
    let endpoint = cap::Endpoint::from_bits(cspace::process::ENDPOINT);
    let mut console = Console {
        people: Com::new(driver::PORTS_A, 0x3f8),
        control: Com::new(driver::PORTS_B, 0x2f8),
        lines: Lines::new(),
        input: Input::new(),
        irq: cap::IrqHandler::from_bits(driver::IRQ),
        names: [Name::EMPTY; CLIENTS],
    };
    console.listen();
    let mut message = endpoint.recv_with_mrs();
    loop {
        message = if message.badge & NOTIFICATION != 0 {
            console.interrupt();
            endpoint.recv_with_mrs()
        } else {
            let (info, words) = console.serve(&message).unwrap_or_else(|| {
                process::count(Driver::Refused);
                (MessageInfo::new(REFUSED, 0, 0, 0), [0; 4])
            });
            endpoint.reply_recv_with_mrs(info, words)
        };
    }
}

/// An answer: label and length, and the words in registers.
type Answer = (MessageInfo, [u64; 4]);

const DONE: Answer = (MessageInfo::new(OK, 0, 0, 0), [0; 4]);

/// The client that a badge stands for.
fn client(badge: u64) -> Option<usize> {
    match badge {
        DRIVER_SUPERVISOR => Some(SUPERVISOR),
        _ => (badge as usize).checked_sub(1).filter(|client| *client < SUPERVISOR),
    }
}

impl Console {
    /// Connects the interrupt of COM1's receiver.
    fn listen(&mut self) {
        let notification = cap::Notification::from_bits(cspace::process::NOTIFICATION);
        self.irq
            .irq_handler_set_notification(notification)
            .expect("the console's interrupt can be connected");
        self.people.0.interrupt_on_data();
        self.interrupt();
    }

    /// Takes what was typed. What comes between the first look and the
    /// acknowledgement raises no edge, so there is a second look after it.
    fn interrupt(&mut self) {
        self.receive();
        // Without the acknowledgement no further interrupt comes; nothing else
        // could be done about a refusal.
        let _ = self.irq.irq_handler_ack();
        self.receive();
    }

    fn receive(&mut self) {
        let mut reader = None;
        for _ in 0..MAX_RECEIVED {
            let Some(byte) = self.people.0.get() else {
                break;
            };
            let names = &self.names;
            let find = |name: &[u8]| {
                let named = |known: &Name| known.as_str().as_bytes() == name;
                names[..SUPERVISOR].iter().position(named).filter(|_| !name.is_empty())
            };
            reader = self.input.push(byte, find).or(reader);
        }
        if let Some(client) = reader {
            // A slot that is empty belongs to a client that takes no input.
            cap::Notification::from_bits(driver::CLIENTS + client as u64).signal();
        }
    }

    /// Serves a message; `None` if it is malformed or not for its sender.
    fn serve(&mut self, message: &RecvWithMRs) -> Option<Answer> {
        let sender = client(message.badge)?;
        let [first, ..] = message.msg;
        let mut content = [0; MAX_BYTES];
        unpack(message, &mut content);
        match message.info.label() {
            WRITE => {
                let text = content.get(..usize::try_from(first).ok()?)?;
                let name = self.names[sender];
                self.lines.write(sender, name.as_str(), text, &mut self.people);
            }
            CONTROL if sender == SUPERVISOR => {
                let text = content.get(..usize::try_from(first).ok()?)?;
                text.iter().for_each(|byte| self.control.put(*byte));
            }
            NAME if sender == SUPERVISOR => {
                let name = Name::read_from_bytes(content.get(..NAME_BYTES)?).ok()?;
                self.names[client(first)?] = name;
            }
            READ => return Some(self.read(sender, first)),
            _ => return None,
        }
        Some(DONE)
    }

    fn read(&mut self, client: usize, wanted: u64) -> Answer {
        let mut typed = [[0; 8]; READ_BYTES / 8];
        let wanted = READ_BYTES.min(wanted as usize);
        let count = self.input.take(client, &mut typed.as_flattened_mut()[..wanted]);
        let [first, second, third] = typed.map(u64::from_le_bytes);
        let info = MessageInfo::new(OK, 0, 0, 4);
        (info, [count as u64, first, second, third])
    }
}

/// The bytes behind the first word of a message; zeros behind its end.
fn unpack(message: &RecvWithMRs, content: &mut [u8; MAX_BYTES]) {
    let words = message.info.length().saturating_sub(1);
    let fast = message.msg[1..].iter().copied();
    let rest = ipc_buffer().msg_regs()[message.msg.len()..].iter().map(|word| word.get());
    let sent = bytes::unpack(fast.chain(rest).take(words));
    content.iter_mut().zip(sent).for_each(|(to, from)| *to = from);
}
