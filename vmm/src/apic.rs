//! A local APIC in x2APIC mode: registers are MSRs, and there is no other mode.
//!
//! Its vCPU's side is [`Apic::pending`], what it would answer to an
//! acknowledgement now, and [`Apic::acknowledge`], that it took place. Commands
//! to others leave by [`Apic::write`]; whoever holds all of them carries them
//! out ([`Command`]). Time comes in with each call.
//!
//! Source: Intel SDM vol. 3A, chapter 10 (§10.12 for x2APIC). What is fixed here:
//! the version is QEMU's (0x14, six local vectors), the timer counts ticks of the
//! time-stamp counter, and interrupts are edge-triggered.

mod command;
#[cfg(test)]
mod tests;
mod timer;
mod vectors;

pub use command::{Command, Mode};
use timer::Timer;
use vectors::Vectors;

/// First MSR of the registers; they follow each other as their addresses do
/// in memory, divided by 16.
pub const FIRST_MSR: u32 = 0x800;
/// IA32_APIC_BASE.
pub const BASE_MSR: u32 = 0x1b;
/// IA32_TSC_DEADLINE.
pub const DEADLINE_MSR: u32 = 0x6e0;

/// IA32_APIC_BASE: where xAPIC's registers would be; this is the first
/// processor; x2APIC mode; enabled (§10.12.1).
const BASE: u64 = 0xfee0_0000 | 1 << 10 | 1 << 11;
const FIRST_PROCESSOR: u64 = 1 << 8;

/// Version 0x14, the last local vector is number 5.
const VERSION: u64 = 0x0005_0014;

// Register numbers: MSR less FIRST_MSR (table 10-6).
const ID: u32 = 0x02;
const VERSION_REGISTER: u32 = 0x03;
const TASK_PRIORITY: u32 = 0x08;
const PROCESSOR_PRIORITY: u32 = 0x0a;
const END_OF_INTERRUPT: u32 = 0x0b;
const LOGICAL_ID: u32 = 0x0d;
const SPURIOUS: u32 = 0x0f;
const IN_SERVICE: u32 = 0x10;
const TRIGGER_MODES: u32 = 0x18;
const REQUESTS: u32 = 0x20;
const ERROR_STATUS: u32 = 0x28;
const COMMAND: u32 = 0x30;
const LOCAL_VECTORS: u32 = 0x32;
const INITIAL_COUNT: u32 = 0x38;
const CURRENT_COUNT: u32 = 0x39;
const DIVIDE: u32 = 0x3e;
const SELF_COMMAND: u32 = 0x3f;

/// Registers of 32 bits that hold one of the sets of vectors.
const WORDS: u32 = 8;

// Local vectors, in the order of their registers.
const TIMER: usize = 0;
const LINT0: usize = 3;
const LINT1: usize = 4;
const ERROR: usize = 5;
const LOCAL: usize = 6;
const LOCAL_U32: u32 = LOCAL as u32;

/// Local vector: it is masked.
const MASKED: u32 = 1 << 16;
/// … its delivery mode.
const DELIVERY_MODE: u32 = 7 << 8;
/// … the delivery mode of a PIC's interrupts, and of NMIs.
const EXTERNAL: u32 = 7 << 8;
const NMI: u32 = 4 << 8;
/// … delivery status and remote IRR, which cannot be written.
const READ_ONLY: u32 = 1 << 12 | 1 << 14;
/// … the bits that each has (figure 10-8), read-only ones included.
const LOCAL_BITS: [u32; LOCAL] = [
    0x0007_10ff, // timer: mode in 18:17
    0x0001_17ff, // thermal sensor
    0x0001_17ff, // performance counters
    0x0001_f7ff, // LINT0
    0x0001_f7ff, // LINT1
    0x0001_10ff, // error
];

/// Spurious-interrupt vector register: the APIC is enabled by software.
const ENABLED: u32 = 1 << 8;
/// … the bits that it has: vector, enabled, focus checking.
const SPURIOUS_BITS: u64 = 0x3ff;

/// Error status (§10.5.3): an IPI or local interrupt with a vector below 16.
const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
const RECEIVED_ILLEGAL_VECTOR: u32 = 1 << 6;

/// The access raises #GP(0): there is no such register, it cannot be read or
/// written, or a reserved bit is set (§10.12.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// A local APIC.
#[derive(Clone, Debug)]
pub struct Apic {
    id: u32,
    task_priority: u8,
    spurious: u32,
    in_service: Vectors,
    requests: Vectors,
    /// Errors that the guest sees, and those since it looked.
    error_status: u32,
    errors: u32,
    command: u64,
    local: [u32; LOCAL],
    timer: Timer,
}

impl Apic {
    /// The APIC of vCPU number `number`, whose ID is the same. The first one is
    /// as firmware leaves it, enabled and with the PIC at LINT0 ("virtual wire");
    /// others are as after reset.
    pub const fn new(number: u32) -> Self {
        let mut local = [MASKED; LOCAL];
        let mut spurious = 0xff;
        if number == 0 {
            local[LINT0] = EXTERNAL;
            local[LINT1] = NMI;
            spurious |= ENABLED;
        }
        Self {
            id: number,
            task_priority: 0,
            spurious,
            in_service: Vectors::NONE,
            requests: Vectors::NONE,
            error_status: 0,
            errors: 0,
            command: 0,
            local,
            timer: Timer::new(),
        }
    }

    const fn is_enabled(&self) -> bool {
        self.spurious & ENABLED != 0
    }

    /// Whether interrupts of the PIC reach this vCPU.
    pub const fn lets_pic_through(&self) -> bool {
        self.local[LINT0] & (MASKED | DELIVERY_MODE) == EXTERNAL
    }

    /// The processor priority (§10.8.3.1).
    pub fn priority(&self) -> u8 {
        let in_service = self.in_service.highest().unwrap_or(0);
        if self.task_priority >> 4 >= in_service >> 4 {
            self.task_priority
        } else {
            in_service & 0xf0
        }
    }

    /// The vector that an acknowledgement would give now.
    pub fn pending(&self) -> Option<u8> {
        let vector = self.requests.highest()?;
        (self.is_enabled() && vector >> 4 > self.priority() >> 4).then_some(vector)
    }

    /// The vCPU took `vector`, as [`Self::pending`] gave it.
    pub fn acknowledge(&mut self, vector: u8) {
        if self.requests.remove(vector) {
            self.in_service.insert(vector);
        }
    }

    /// An interrupt arrives. An APIC that is disabled by software takes none
    /// (§10.4.7.2).
    pub fn receive(&mut self, vector: u8) {
        if vector < 16 {
            self.error(RECEIVED_ILLEGAL_VECTOR);
        } else if self.is_enabled() {
            self.requests.insert(vector);
        }
    }

    fn error(&mut self, error: u32) {
        self.errors |= error;
        let local = self.local[ERROR];
        match local as u8 {
            _ if local & MASKED != 0 => {}
            0..16 => self.errors |= RECEIVED_ILLEGAL_VECTOR,
            vector => self.receive(vector),
        }
    }

    /// Lets the timer's interrupt arrive if it has run out.
    pub fn poll(&mut self, now: u64) {
        let local = self.local[TIMER];
        if self.timer.poll(now) && local & MASKED == 0 {
            self.receive(local as u8);
        }
    }

    /// When the timer's next interrupt arrives.
    pub fn next_interrupt(&self) -> Option<u64> {
        match self.local[TIMER] & MASKED {
            0 => self.timer.next(),
            _ => None,
        }
    }

    /// RDMSR of a register of the APIC.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read(&self, msr: u32, now: u64) -> Result<u64, Refused> {
        match msr {
            BASE_MSR if self.id == 0 => return Ok(BASE | FIRST_PROCESSOR),
            BASE_MSR => return Ok(BASE),
            DEADLINE_MSR => return Ok(self.timer.deadline()),
            _ => {}
        }
        let register = msr.checked_sub(FIRST_MSR).ok_or(Refused)?;
        Ok(match register {
            ID => self.id.into(),
            VERSION_REGISTER => VERSION,
            TASK_PRIORITY => self.task_priority.into(),
            PROCESSOR_PRIORITY => self.priority().into(),
            LOGICAL_ID => command::logical_id(self.id).into(),
            SPURIOUS => self.spurious.into(),
            ERROR_STATUS => self.error_status.into(),
            COMMAND => self.command,
            INITIAL_COUNT => self.timer.initial_count().into(),
            CURRENT_COUNT => self.timer.count(now).into(),
            DIVIDE => self.timer.divide().into(),
            _ => self.read_set(register)?.into(),
        })
    }

    /// The registers of which there are several.
    fn read_set(&self, register: u32) -> Result<u32, Refused> {
        const fn within(register: u32, first: u32, count: u32) -> Option<u32> {
            match register.checked_sub(first) {
                Some(index) if index < count => Some(index),
                _ => None,
            }
        }
        if let Some(word) = within(register, IN_SERVICE, WORDS) {
            Ok(self.in_service.word(word))
        } else if within(register, TRIGGER_MODES, WORDS).is_some() {
            Ok(0)
        } else if let Some(word) = within(register, REQUESTS, WORDS) {
            Ok(self.requests.word(word))
        } else {
            let index = within(register, LOCAL_VECTORS, LOCAL_U32).ok_or(Refused)?;
            self.local.get(index as usize).copied().ok_or(Refused)
        }
    }

    /// WRMSR of a register of the APIC; what is to be sent, if it was a command.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub fn write(&mut self, msr: u32, value: u64, now: u64) -> Result<Option<Command>, Refused> {
        match msr {
            // Neither off, nor in another mode.
            BASE_MSR if self.read(msr, now) == Ok(value) => return Ok(None),
            BASE_MSR => return Err(Refused),
            DEADLINE_MSR => {
                self.timer.set_deadline(value);
                return Ok(None);
            }
            _ => {}
        }
        let register = msr.checked_sub(FIRST_MSR).ok_or(Refused)?;
        match register {
            TASK_PRIORITY => self.task_priority = narrow(value)?,
            END_OF_INTERRUPT if value == 0 => {
                if let Some(vector) = self.in_service.highest() {
                    self.in_service.remove(vector);
                }
            }
            SPURIOUS if value & !SPURIOUS_BITS == 0 => self.set_spurious(value as u32),
            ERROR_STATUS if value == 0 => {
                self.error_status = core::mem::take(&mut self.errors);
            }
            COMMAND => return self.command(value),
            SELF_COMMAND => return Ok(self.send(Command::to_self(narrow(value)?))),
            INITIAL_COUNT => self.timer.start(narrow(value)?, now),
            DIVIDE => self.timer.set_divide(narrow(value)?, now)?,
            _ => self.set_local(register, narrow(value)?)?,
        }
        Ok(None)
    }

    fn command(&mut self, value: u64) -> Result<Option<Command>, Refused> {
        let command = Command::decode(value)?;
        self.command = value;
        Ok(self.send(command))
    }

    fn send(&mut self, command: Command) -> Option<Command> {
        let is_legal = command.vector >= 16 || !command.mode.has_vector();
        if !is_legal {
            self.error(SEND_ILLEGAL_VECTOR);
        }
        is_legal.then_some(command)
    }

    /// Disabling masks all local vectors (§10.4.7.2).
    fn set_spurious(&mut self, value: u32) {
        self.spurious = value;
        if !self.is_enabled() {
            for local in &mut self.local {
                *local |= MASKED;
            }
        }
    }

    fn set_local(&mut self, register: u32, value: u32) -> Result<(), Refused> {
        let index = register.checked_sub(LOCAL_VECTORS).ok_or(Refused)? as usize;
        let bits = LOCAL_BITS.get(index).ok_or(Refused)?;
        if value & !bits != 0 {
            return Err(Refused);
        }
        if index == TIMER {
            self.timer.set_mode(value >> 17)?;
        }
        let local = self.local.get_mut(index).ok_or(Refused)?;
        *local = value & !READ_ONLY;
        if self.spurious & ENABLED == 0 {
            *local |= MASKED;
        }
        Ok(())
    }
}

/// The bits above a register's width are reserved.
fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Refused> {
    T::try_from(value).map_err(|_| Refused)
}
