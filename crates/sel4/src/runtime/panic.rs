//! Last words: where and why a process panicked, sent to its supervisor.
//!
//! The report is text, cut to what a message holds: message register 0 is its length in bytes, the
//! registers behind it hold eight bytes each. It is sent once; a panic while reporting ends the
//! process by the fault alone.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::{MessageInfo, NUM_MESSAGE_REGISTERS, Word, cap, ipc_buffer};

/// Bytes that a report can have.
pub const REPORT_BYTES: usize = (NUM_MESSAGE_REGISTERS - 1) * size_of::<Word>();

/// To whom a process reports, and under which name.
#[derive(Debug, Clone, Copy)]
pub struct Supervisor {
    /// Endpoint to send to; most often the fault endpoint.
    pub endpoint: cap::Endpoint,
    /// Label of the message.
    pub label: Word,
    /// The process's name, as people should read it.
    pub name: &'static str,
}

// The parts are kept in atomics, since the panic handler takes no arguments: one thread writes and
// reads them, in program order.
static ENDPOINT: AtomicU64 = AtomicU64::new(0);
static LABEL: AtomicU64 = AtomicU64::new(0);
static NAME: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static NAME_LENGTH: AtomicUsize = AtomicUsize::new(0);
static PANICKING: AtomicBool = AtomicBool::new(false);

/// Declares the supervisor; call it first in `main`. Before that, a panic only faults.
pub fn set_supervisor(supervisor: Supervisor) {
    NAME_LENGTH.store(0, Ordering::Relaxed);
    NAME.store(supervisor.name.as_ptr().cast_mut(), Ordering::Relaxed);
    NAME_LENGTH.store(supervisor.name.len(), Ordering::Relaxed);
    LABEL.store(supervisor.label, Ordering::Relaxed);
    ENDPOINT.store(supervisor.endpoint.bits(), Ordering::Relaxed);
}

#[allow(unsafe_code, reason = "the name is kept as address and length")]
fn name() -> &'static str {
    let address = NAME.load(Ordering::Relaxed);
    if address.is_null() {
        return "process";
    }
    // SAFETY: `set_supervisor` stored address and length of one `&'static str`, and no other
    // thread could have stored another half meanwhile.
    unsafe {
        let bytes = core::slice::from_raw_parts(address, NAME_LENGTH.load(Ordering::Relaxed));
        core::str::from_utf8_unchecked(bytes)
    }
}

/// Reports a panic and ends the process. What [`process!`](crate::process) uses as handler.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    if !PANICKING.swap(true, Ordering::Relaxed) && ENDPOINT.load(Ordering::Relaxed) != 0 {
        let mut report = Report::default();
        write_report(&mut report, info);
        report.send();
    }
    exit_by_fault()
}

/// Ends the process by an invalid instruction, which its fault handler sees.
pub fn exit_by_fault() -> ! {
    #[cfg(target_os = "none")]
    #[allow(unsafe_code, reason = "the instruction that always faults")]
    // SAFETY: `ud2` has no effect but the exception.
    unsafe {
        core::arch::asm!("ud2", options(noreturn, nomem, nostack));
    }
    #[cfg(not(target_os = "none"))]
    unreachable!("a process runs on seL4")
}

fn write_report(report: &mut Report, info: &PanicInfo<'_>) {
    // Writing to a report cannot fail: what does not fit is cut.
    let _ = write!(report, "{}: panicked at ", name());
    let _ = match info.location() {
        Some(place) => write!(report, "{place}: {}", info.message()),
        None => write!(report, "an unknown place: {}", info.message()),
    };
}

/// A text, cut to what a message holds.
struct Report {
    bytes: [u8; REPORT_BYTES],
    length: usize,
}

impl Default for Report {
    fn default() -> Self {
        Self { bytes: [0; REPORT_BYTES], length: 0 }
    }
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let count = text.len().min(room.len());
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.length += count;
        Ok(())
    }
}

impl Report {
    fn send(&self) {
        let words = self.length.div_ceil(size_of::<Word>());
        let (chunks, _) = self.bytes.as_chunks();
        let registers = ipc_buffer().msg_regs();
        registers[0].set(self.length as Word);
        for (register, chunk) in registers.iter().skip(1).zip(chunks).take(words) {
            register.set(Word::from_le_bytes(*chunk));
        }
        let endpoint = cap::Endpoint::from_bits(ENDPOINT.load(Ordering::Relaxed));
        endpoint.send(MessageInfo::new(LABEL.load(Ordering::Relaxed), 0, 0, 1 + words));
    }
}

/// Copies a received report out of the message registers, as the supervisor reads it.
///
/// `registers` are all message registers, from 0 on; gives the part of `text` that was filled. The
/// sender's length is not trusted.
pub fn report_bytes(
    registers: impl IntoIterator<Item = Word>,
    text: &mut [u8; REPORT_BYTES],
) -> &[u8] {
    let mut registers = registers.into_iter();
    let claimed = registers.next().unwrap_or(0);
    let (chunks, _) = text.as_chunks_mut();
    let mut filled = 0;
    for (chunk, word) in chunks.iter_mut().zip(registers) {
        *chunk = word.to_le_bytes();
        filled += chunk.len();
    }
    let length = usize::try_from(claimed).unwrap_or(usize::MAX).min(filled);
    text.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::host::set_kernel;

    #[test]
    fn a_report_travels() {
        set_supervisor(Supervisor {
            endpoint: cap::Endpoint::from_bits(3),
            label: 0x77,
            name: "console",
        });
        let mut report = Report::default();
        let _ = write!(report, "{}: panicked at src/main.rs:3:5: no", name());
        set_kernel(|number, input| {
            assert_eq!((number, input.rdi), (-3, 3));
            let info = MessageInfo::from_word(input.rsi);
            assert_eq!((info.label(), info.length()), (0x77, 1 + 5));
            let buffer = ipc_buffer().msg_regs().iter().skip(4).map(core::cell::Cell::get);
            let registers = input.mrs.into_iter().chain(buffer).take(info.length());
            let mut text = [0; REPORT_BYTES];
            assert_eq!(
                report_bytes(registers, &mut text),
                b"console: panicked at src/main.rs:3:5: no"
            );
            input
        });
        report.send();
    }

    #[test]
    fn long_reports_are_cut_and_lengths_not_trusted() {
        let mut report = Report::default();
        for _ in 0..100 {
            let _ = report.write_str("0123456789");
        }
        assert_eq!(report.length, REPORT_BYTES);
        let mut text = [0; REPORT_BYTES];
        assert_eq!(report_bytes([u64::MAX, 0x6261], &mut text), b"ab\0\0\0\0\0\0");
        assert_eq!(report_bytes([], &mut text), b"");
        assert_eq!(report_bytes((0..500).map(|_| u64::MAX), &mut text).len(), REPORT_BYTES);
    }
}
