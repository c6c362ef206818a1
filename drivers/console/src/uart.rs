//! A 16550 UART: output polled, input by interrupt.
//!
//! Registers as in the PC16550D data sheet (National Semiconductor, 1995,
//! table II).

/// Port access, so that the logic can be tried without hardware.
pub trait Ports {
    /// Reads register `register` (0 to 7).
    fn read(&mut self, register: u16) -> u8;
    /// Writes `value` to register `register` (0 to 7).
    fn write(&mut self, register: u16, value: u8);
}

const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

const DIVISOR_LATCH: u8 = 0x80;
const EIGHT_BITS_NO_PARITY: u8 = 0x03;
const TRANSMITTER_HOLDING_EMPTY: u8 = 0x20;

/// Interrupt when data has been received.
const ON_DATA: u8 = 0x01;
/// Data terminal ready, request to send, and OUT2, which a PC wires between the
/// UART and its interrupt line.
const READY_WITH_INTERRUPTS: u8 = 0x0b;
const DATA_READY: u8 = 0x01;

/// Bytes that fit the transmit FIFO once it is empty.
const FIFO_BYTES: u32 = 16;
/// Polls of a port that never becomes ready before a byte is given up.
const PATIENCE: u32 = 100_000;

/// A UART in use.
pub struct Uart<P> {
    ports: P,
    /// Bytes that surely fit the FIFO without asking again.
    room: u32,
}

impl<P: Ports> Uart<P> {
    /// Sets up 115200 baud, 8N1, FIFOs on, interrupts off.
    pub fn new(mut ports: P) -> Self {
        ports.write(INTERRUPT_ENABLE, 0);
        ports.write(LINE_CONTROL, DIVISOR_LATCH);
        ports.write(DATA, 1);
        ports.write(INTERRUPT_ENABLE, 0);
        ports.write(LINE_CONTROL, EIGHT_BITS_NO_PARITY);
        ports.write(FIFO_CONTROL, 0x07);
        ports.write(MODEM_CONTROL, 0x03);
        Self { ports, room: 0 }
    }

    /// Lets received data interrupt.
    pub fn interrupt_on_data(&mut self) {
        self.ports.write(MODEM_CONTROL, READY_WITH_INTERRUPTS);
        self.ports.write(INTERRUPT_ENABLE, ON_DATA);
    }

    /// A byte that was received, if there is one.
    pub fn get(&mut self) -> Option<u8> {
        (self.ports.read(LINE_STATUS) & DATA_READY != 0).then(|| self.ports.read(DATA))
    }

    /// Sends one byte; waits for room, but not for ever: where no UART
    /// answers, the byte is dropped.
    pub fn put(&mut self, byte: u8) {
        if self.room == 0 {
            let ready = (0..PATIENCE)
                .any(|_| self.ports.read(LINE_STATUS) & TRANSMITTER_HOLDING_EMPTY != 0);
            if !ready {
                return;
            }
            self.room = FIFO_BYTES;
        }
        self.room -= 1;
        self.ports.write(DATA, byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake {
        writes: Vec<(u16, u8)>,
        status_reads: u32,
        ready: bool,
    }

    impl Ports for &mut Fake {
        fn read(&mut self, _: u16) -> u8 {
            self.status_reads += 1;
            if self.ready { TRANSMITTER_HOLDING_EMPTY } else { 0 }
        }
        fn write(&mut self, register: u16, value: u8) {
            self.writes.push((register, value));
        }
    }

    #[test]
    fn asks_once_per_sixteen_bytes() {
        let mut fake = Fake { ready: true, ..Fake::default() };
        let mut uart = Uart::new(&mut fake);
        (0..32).for_each(|byte| uart.put(byte));
        assert_eq!(fake.status_reads, 2);
        let sent = fake.writes.iter().skip(7).map(|(_, byte)| *byte);
        assert!(sent.eq(0..32));
    }

    #[test]
    fn gives_up_where_nothing_answers() {
        let mut fake = Fake::default();
        Uart::new(&mut fake).put(b'x');
        assert_eq!(fake.writes.len(), 7);
        assert_eq!(fake.status_reads, PATIENCE);
    }
}
