//! Where the root task's text goes.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, Ordering};

/// What takes bytes of text.
pub type Sink = fn(&[u8]);

static SINK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Registers where text goes from now on.
pub fn set_sink(sink: Sink) {
    SINK.store(sink as *mut (), Ordering::Relaxed);
}

/// Writes bytes to the registered sink; without one to the kernel's console, if it has one.
pub fn write_bytes(bytes: &[u8]) {
    match sink() {
        Some(sink) => sink(bytes),
        None => {
            for byte in bytes {
                sel4::try_debug_put_char(*byte);
            }
        }
    }
}

#[allow(unsafe_code, reason = "a function is kept in an atomic")]
fn sink() -> Option<Sink> {
    let sink = SINK.load(Ordering::Relaxed);
    // SAFETY: the pointer is null or was made of a `Sink` by `set_sink`.
    (!sink.is_null()).then(|| unsafe { core::mem::transmute::<*mut (), Sink>(sink) })
}

/// The console as a target of `write!`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_bytes(text.as_bytes());
        Ok(())
    }
}

/// Prints to the root task's console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use ::core::fmt::Write as _;
        // The console takes everything.
        let _ = ::core::write!($crate::console::Console, $($argument)*);
    }};
}

/// Prints a line to the root task's console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($format:literal $($argument:tt)*) => {
        $crate::print!("{}\n", ::core::format_args!($format $($argument)*))
    };
}
