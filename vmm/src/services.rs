//! What the vmm asks of others: its guest's server, the console, the timer.

#![allow(unsafe_code, reason = "the bounce area is known by its address only")]

use process::{count, ticks};
use protocol::counters;
use protocol::exit::{EXIT, Exit, Taken};
use protocol::request::{INLINE_BYTES, READ, Request, WRITE};
use protocol::{bytes, console, timer};
use sel4::{CallWithMRs, MessageInfo, cap, ipc_buffer};
use system::address_map::{BOUNCE, BOUNCE_BYTES};
use system::cspace::{self, vmm as slots};
use vmm::host::{Host, OutsideRam};

const SERVER: cap::Endpoint = cap::Endpoint::from_bits(slots::SERVER);
const CONSOLE: cap::Endpoint = cap::Endpoint::from_bits(slots::CONSOLE);
const TIMER: cap::Endpoint = cap::Endpoint::from_bits(slots::TIMER);
const SIGNAL: cap::Notification = cap::Notification::from_bits(cspace::process::NOTIFICATION);

/// The world around the platform.
pub struct Services {
    /// Bytes of guest memory.
    pub memory_bytes: u64,
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// The deadline that the timer has of this process.
    pub deadline: Option<u64>,
}

fn call(request: Request) -> CallWithMRs {
    let (label, words) = request.encode();
    SERVER.call_with_mrs(MessageInfo::new(label, 0, 0, words.len()), words)
}

/// Sends `request`, which waits for an exit, and waits until there is one.
pub fn next_exit(request: Request) -> Option<(Taken, usize, Exit)> {
    let answer = call(request);
    count(counters::Vmm::Wakes);
    if answer.info.label() == EXIT {
        let (vcpu, exit) = Exit::decode(answer.msg)?;
        Some((Taken::of(answer.msg), vcpu, exit))
    } else {
        None
    }
}

/// Copies out of the bounce area; `bytes` is at most as long.
pub fn read_bounce(bytes: &mut [u8]) {
    let length = bytes.len().min(BOUNCE_BYTES as usize);
    // SAFETY: the bounce area is mapped there for good. The server writes it
    // only while this process waits for its answer, so nobody does now.
    let bounce = unsafe { core::slice::from_raw_parts(BOUNCE as *const u8, length) };
    bytes[..length].copy_from_slice(bounce);
}

fn write_bounce(bytes: &[u8]) {
    let length = bytes.len().min(BOUNCE_BYTES as usize);
    // SAFETY: as in `read_bounce`.
    let bounce = unsafe { core::slice::from_raw_parts_mut(BOUNCE as *mut u8, length) };
    bounce.copy_from_slice(&bytes[..length]);
}

impl Services {
    /// Lets the timer wake the guest's servers at `deadline`, if it is not
    /// the one that it knows.
    pub fn set_deadline(&mut self, deadline: Option<u64>) {
        if deadline == self.deadline {
            return;
        }
        self.deadline = deadline;
        count(counters::Vmm::Deadlines);
        let tick = deadline.unwrap_or(timer::NEVER);
        TIMER.call_with_mrs(MessageInfo::new(timer::SET_DEADLINE, 0, 0, 1), [tick]);
    }

    fn read_piece(&self, gpa: u64, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        let length = bytes.len() as u64;
        let answer = call(Request::Read { gpa, length });
        if answer.info.label() != READ {
            return Err(OutsideRam);
        }
        if bytes.len() <= INLINE_BYTES {
            let words = [answer.msg[0].to_le_bytes(), answer.msg[1].to_le_bytes()];
            bytes.copy_from_slice(&words.as_flattened()[..bytes.len()]);
        } else {
            read_bounce(bytes);
        }
        Ok(())
    }

    fn write_piece(&self, gpa: u64, bytes: &[u8]) -> Result<(), OutsideRam> {
        let mut words = [[0; 8]; 2];
        if bytes.len() <= INLINE_BYTES {
            words.as_flattened_mut()[..bytes.len()].copy_from_slice(bytes);
        } else {
            write_bounce(bytes);
        }
        let inline = words.map(u64::from_le_bytes);
        let answer = call(Request::Write { gpa, length: bytes.len() as u64, inline });
        if answer.info.label() == WRITE { Ok(()) } else { Err(OutsideRam) }
    }

    fn is_ram(&self, gpa: u64, length: usize) -> Result<(), OutsideRam> {
        match gpa.checked_add(length as u64) {
            Some(end) if end <= self.memory_bytes => Ok(()),
            _ => Err(OutsideRam),
        }
    }
}

impl Host for Services {
    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn read_guest(&mut self, gpa: u64, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        self.is_ram(gpa, bytes.len())?;
        for (index, piece) in bytes.chunks_mut(BOUNCE_BYTES as usize).enumerate() {
            self.read_piece(gpa + index as u64 * BOUNCE_BYTES, piece)?;
        }
        Ok(())
    }

    fn write_guest(&mut self, gpa: u64, bytes: &[u8]) -> Result<(), OutsideRam> {
        self.is_ram(gpa, bytes.len())?;
        for (index, piece) in bytes.chunks(BOUNCE_BYTES as usize).enumerate() {
            self.write_piece(gpa + index as u64 * BOUNCE_BYTES, piece)?;
        }
        Ok(())
    }

    fn console(&mut self, text: &[u8]) {
        for piece in text.chunks(console::MAX_BYTES) {
            let registers = ipc_buffer().msg_regs();
            registers[0].set(piece.len() as u64);
            let mut length = 1;
            for (register, word) in registers[1..].iter().zip(bytes::pack(piece)) {
                register.set(word);
                length += 1;
            }
            CONSOLE.call(MessageInfo::new(console::WRITE, 0, 0, length));
            count(counters::Vmm::ConsoleWrites);
        }
    }

    fn input(&mut self, bytes: &mut [u8]) -> usize {
        let wanted = bytes.len().min(console::READ_BYTES);
        let info = MessageInfo::new(console::READ, 0, 0, 1);
        let answer = CONSOLE.call_with_mrs(info, [wanted as u64]);
        if answer.info.label() != console::OK {
            return 0;
        }
        let [count, words @ ..] = answer.msg;
        let count = wanted.min(count as usize);
        let typed = bytes::unpack(words.into_iter());
        for (to, from) in bytes.iter_mut().zip(typed.take(count)) {
            *to = from;
        }
        count
    }

    fn now(&self) -> u64 {
        ticks()
    }

    fn wall_time_ns(&mut self) -> u64 {
        TIMER.call_with_mrs(MessageInfo::new(timer::WALL_TIME, 0, 0, 0), []).msg[0]
    }

    fn sleep_ns(&mut self, ns: u64) {
        count(counters::Vmm::Sleeps);
        let deadline = ticks().saturating_add(timer::ticks(ns, self.tsc_hz));
        TIMER.call_with_mrs(MessageInfo::new(timer::SET_DEADLINE, 0, 0, 1), [deadline]);
        // A signal of an earlier deadline may still stand; time decides.
        while ticks() < deadline {
            SIGNAL.wait();
            count(counters::Vmm::Wakes);
            count(counters::Vmm::SleepWakes);
        }
    }

    fn count_unknown_port(&mut self) {
        count(counters::Vmm::UnknownPorts);
    }
}
