//! The driver's loop: requests and PIT interrupts arrive at one endpoint.

use process::ticks;
use protocol::badge::NOTIFICATION;
use protocol::counters::Driver;
use protocol::{REFUSED, timer as messages};
use sel4::runtime::StartupPage;
use sel4::{MessageInfo, RecvWithMRs, cap};
use system::cspace::{self, driver};
use timer::deadlines::{Deadlines, NEVER};
use timer::{pit, rtc};

sel4::process!(main);

const CLIENTS: usize = driver::MAX_CLIENTS as usize;

struct CmosCap(cap::IOPort);

impl rtc::Cmos for CmosCap {
    fn read(&mut self, register: u8) -> u8 {
        // A refused port reads as an absent clock: zeros.
        let _ = self.0.ioport_out8(rtc::INDEX, register);
        self.0.ioport_in8(rtc::DATA).unwrap_or(0)
    }
}

struct Timer {
    tsc_hz: u64,
    pit: cap::IOPort,
    irq: cap::IrqHandler,
    deadlines: Deadlines<CLIENTS>,
    /// Wall time in nanoseconds at tick `wall_tick`.
    wall_ns: u64,
    wall_tick: u64,
}

fn main(page: StartupPage) -> ! {
    let mut timer = Timer::new(process::start(page).tsc_hz);
    let endpoint = cap::Endpoint::from_bits(cspace::process::ENDPOINT);
    let mut message = endpoint.recv_with_mrs();
    loop {
        message = if message.badge & NOTIFICATION != 0 {
            timer.interrupt();
            endpoint.recv_with_mrs()
        } else {
            let (info, words) = timer.serve(&message).unwrap_or_else(|| {
                process::count(Driver::Refused);
                (MessageInfo::new(REFUSED, 0, 0, 0), [0; 2])
            });
            endpoint.reply_recv_with_mrs(info, words)
        };
    }
}

impl Timer {
    fn new(tsc_hz: u64) -> Self {
        let seconds = rtc::unix_seconds(&mut CmosCap(cap::IOPort::from_bits(driver::PORTS_B)));
        let timer = Self {
            tsc_hz: tsc_hz.max(1),
            pit: cap::IOPort::from_bits(driver::PORTS_A),
            irq: cap::IrqHandler::from_bits(driver::IRQ),
            deadlines: Deadlines::new(),
            wall_ns: seconds.saturating_mul(1_000_000_000),
            wall_tick: ticks(),
        };
        timer
            .irq
            .irq_handler_set_notification(cap::Notification::from_bits(
                cspace::process::NOTIFICATION,
            ))
            .expect("the timer's interrupt can be connected");
        timer.irq.irq_handler_ack().expect("the timer's interrupt can be armed");
        timer
    }

    /// The answer to a request; `None` if it is malformed.
    fn serve(&mut self, message: &RecvWithMRs) -> Option<(MessageInfo, [u64; 2])> {
        let client = (message.badge as usize).checked_sub(1)?;
        match message.info.label() {
            messages::SET_DEADLINE if message.info.length() >= 1 => {
                if !self.deadlines.set(client, message.msg[0]) {
                    return None;
                }
                self.signal_due();
                self.program();
                Some((MessageInfo::new(messages::OK, 0, 0, 0), [0; 2]))
            }
            messages::WALL_TIME => {
                let now = ticks();
                let passed = messages::nanoseconds(now - self.wall_tick, self.tsc_hz);
                let wall = self.wall_ns.saturating_add(passed);
                Some((MessageInfo::new(messages::OK, 0, 0, 2), [wall, now]))
            }
            _ => None,
        }
    }

    fn interrupt(&mut self) {
        self.signal_due();
        self.program();
        // Without the acknowledgement no further interrupt comes; nothing else
        // could be done about a refusal.
        let _ = self.irq.irq_handler_ack();
    }

    fn signal_due(&mut self) {
        while let Some(client) = self.deadlines.take_due(ticks()) {
            cap::Notification::from_bits(driver::CLIENTS + client as u64).signal();
        }
    }

    /// Lets the PIT interrupt at the earliest deadline, or as late as it can.
    fn program(&self) {
        let earliest = self.deadlines.earliest();
        if earliest == NEVER {
            return;
        }
        let count = pit::count(earliest.saturating_sub(ticks()), self.tsc_hz);
        let [low, high] = count.to_le_bytes();
        // The ports are the ones that the capability covers.
        let _ = self.pit.ioport_out8(pit::COMMAND, pit::ONE_SHOT);
        let _ = self.pit.ioport_out8(pit::CHANNEL_0, low);
        let _ = self.pit.ioport_out8(pit::CHANNEL_0, high);
    }
}
