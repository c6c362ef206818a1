//! The root task's last words.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::println;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Prints where and why, then suspends the root task. What [`root_task!`](crate::root_task) uses as
/// handler. A panic while printing suspends at once.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    if !PANICKING.swap(true, Ordering::Relaxed) {
        match info.location() {
            Some(place) => println!("root-task: panicked at {place}: {}", info.message()),
            None => println!("root-task: panicked: {}", info.message()),
        }
    }
    sel4::init_thread::suspend_self()
}
