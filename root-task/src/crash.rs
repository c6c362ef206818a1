//! Crash reports: what died, why, where, with registers and a backtrace.

use core::fmt::{self, Write};

use heapless::{String, Vec};
use protocol::exit::REGISTER_NAMES;
use sel4::{Fault, UserContext};
use system::address_map;

use crate::process::{Process, Workshop};
use crate::voice::Voice;

/// Deepest backtrace.
const MAX_FRAMES: usize = 32;

/// A fault in words.
struct Reason<'a>(&'a Fault, &'a Process);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::NullFault => f.write_str("stopped without a fault"),
            Fault::CapFault(fault) => {
                write!(f, "used an invalid capability {:#x}", fault.addr)
            }
            Fault::UnknownSyscall(fault) => {
                write!(f, "made the unknown system call {:#x}", fault.syscall)
            }
            Fault::UserException(fault) => {
                write!(f, "raised exception {} (code {:#x})", fault.number, fault.code)
            }
            Fault::VmFault(fault) => {
                let kind = if fault.addr == fault.ip {
                    "execute"
                } else if fault.fsr & 2 != 0 {
                    "write"
                } else {
                    "read"
                };
                write!(f, "could not {kind} {:#x}", fault.addr)?;
                if self.1.is_stack_guard(fault.addr) {
                    return f.write_str(" (stack overflow: the guard page)");
                }
                match address_map::region_of(fault.addr) {
                    Some(region) => write!(f, " ({})", region.name),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A list of words as JSON.
struct Words<'a>(&'a [u64]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{word}")?;
        }
        Ok(())
    }
}

/// Says what happened to `process`, for people and for tools.
pub fn report(
    voice: &Voice,
    workshop: &mut Workshop<'_>,
    process: &Process,
    (name, guest): (&str, &str),
    fault: &Fault,
    last_words: &str,
) {
    let registers = process.tcb.tcb_read_all_registers(true).unwrap_or_default();
    let backtrace = backtrace(workshop, process, &registers);
    voice.line(format_args!("{name} crashed: {}", Reason(fault, process)));
    if !last_words.is_empty() {
        voice.line(format_args!("  {last_words}"));
    }
    for (row, names) in REGISTER_NAMES.chunks(4).enumerate() {
        let mut line = String::<160>::new();
        for (column, register) in names.iter().enumerate() {
            let value = registers.words()[4 * row + column];
            // Four registers of at most 28 characters each fit.
            let _ = write!(line, "  {register:>7} {value:016x}");
        }
        voice.line(format_args!("{line}"));
    }
    for (depth, address) in backtrace.iter().enumerate() {
        voice.line(format_args!("  #{depth} {address:#x}"));
    }
    record(voice, (name, guest), &Reason(fault, process), &registers, &backtrace);
}

fn record(
    voice: &Voice,
    (name, guest): (&str, &str),
    reason: &Reason<'_>,
    registers: &UserContext,
    backtrace: &[u64],
) {
    let mut named = String::<640>::new();
    for (index, register) in REGISTER_NAMES.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // 20 registers of at most 31 characters each fit.
        let _ = write!(named, "{comma}\"{register}\":{}", registers.words()[index]);
    }
    voice.record(format_args!(
        "{{\"record\":\"crash\",\"process\":\"{name}\",\"guest\":\"{guest}\",\
         \"fault\":\"{reason}\",\"ip\":{}}}",
        registers.rip,
    ));
    voice.record(format_args!(
        "{{\"record\":\"crash-registers\",\"process\":\"{name}\",\"registers\":{{{named}}}}}"
    ));
    voice.record(format_args!(
        "{{\"record\":\"crash-backtrace\",\"process\":\"{name}\",\"backtrace\":[{}]}}",
        Words(backtrace)
    ));
}

/// Return addresses by the chain of frame pointers, the instruction first.
fn backtrace(
    workshop: &mut Workshop<'_>,
    process: &Process,
    registers: &UserContext,
) -> Vec<u64, MAX_FRAMES> {
    let mut addresses = Vec::new();
    let _ = addresses.push(registers.rip);
    let mut frame = registers.rbp;
    while frame != 0 && !addresses.is_full() {
        let Some(next) = read(workshop, process, frame) else {
            break;
        };
        let Some(address) = frame.checked_add(8).and_then(|at| read(workshop, process, at)) else {
            break;
        };
        if address == 0 {
            break;
        }
        let _ = addresses.push(address);
        // Frames lie one above the other; anything else is damage.
        if next <= frame {
            break;
        }
        frame = next;
    }
    addresses
}

/// The word at `address` of the process's stack.
fn read(workshop: &mut Workshop<'_>, process: &Process, address: u64) -> Option<u64> {
    let offset = address as usize % crate::scratch::FRAME_BYTES;
    let frame = process.stack_frame(address)?;
    workshop.peek(frame, |bytes| {
        bytes.get(offset..offset + 8)?.try_into().ok().map(u64::from_le_bytes)
    })?
}
