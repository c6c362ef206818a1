//! Received bytes, kept by the interrupt handler until somebody wants them.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use guest_runtime::instruction::{disable_interrupts, in_byte, out_byte, sleep};
use guest_runtime::uart::{DATA, DATA_READY, INTERRUPT_ENABLE, LINE_STATUS, ON_DATA};
use guest_runtime::{Frame, pic, set_handler};

const UART: u8 = 4;
const CAPACITY: usize = 256;

static BYTES: [AtomicU8; CAPACITY] = [const { AtomicU8::new(0) }; CAPACITY];
/// Bytes that came, and bytes that were taken.
static CAME: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Lets received data interrupt.
pub fn init() {
    set_handler(handle);
    pic::init();
    pic::unmask(UART);
    out_byte(INTERRUPT_ENABLE, ON_DATA);
}

fn handle(frame: &mut Frame) -> bool {
    if frame.vector != u64::from(pic::FIRST_VECTOR + UART) {
        return false;
    }
    while in_byte(LINE_STATUS) & DATA_READY != 0 {
        let at = CAME.fetch_add(1, Ordering::Relaxed);
        BYTES[at % CAPACITY].store(in_byte(DATA), Ordering::Relaxed);
    }
    pic::end(UART);
    true
}

/// The next byte; sleeps until there is one.
fn byte() -> u8 {
    disable_interrupts();
    let at = TAKEN.fetch_add(1, Ordering::Relaxed);
    while CAME.load(Ordering::Relaxed) <= at {
        sleep();
    }
    BYTES[at % CAPACITY].load(Ordering::Relaxed)
}

/// The next line, without its end; what does not fit `line` is left out.
pub fn line(line: &mut [u8]) -> &str {
    let mut length = 0;
    loop {
        match byte() {
            b'\r' | b'\n' => break,
            byte if length < line.len() => {
                line[length] = byte;
                length += 1;
            }
            _ => {}
        }
    }
    core::str::from_utf8(&line[..length]).unwrap_or("(no text)")
}
