//! All processors at one job at a time.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use guest_runtime::instruction::{disable_interrupts, enable_interrupts, sleep};
use guest_runtime::smp::Mailbox;
use guest_runtime::x2apic::{self, To};
use guest_runtime::{Frame, Processors, set_handler};

use crate::{cost, ipi, shootdown, timer};

/// Wakes a processor that sleeps until something has changed.
pub const WAKE: u8 = 0x20;

/// What each processor does; it gets its number.
pub type Job = fn(usize);

static JOB: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// Jobs so far.
static JOBS: AtomicUsize = AtomicUsize::new(0);
/// Processors but the first that have done the latest.
static DONE: AtomicUsize = AtomicUsize::new(0);

/// The processors, whose numbers are their APIC IDs.
pub struct Team {
    count: usize,
}

impl Team {
    /// Starts all processors but this one.
    pub fn start(processors: &Processors, mailbox: Mailbox) -> Self {
        set_handler(handle);
        x2apic::enable();
        let count = processors.ids().len();
        for (number, &id) in processors.ids().iter().enumerate().skip(1) {
            mailbox.start(id, number, work);
        }
        Self { count }
    }

    /// Processors.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Processors but this one.
    pub const fn others(&self) -> usize {
        self.count - 1
    }

    /// Lets all others do `job`.
    pub fn begin(&self, job: Job) {
        DONE.store(0, Ordering::Relaxed);
        JOB.store(job as *mut (), Ordering::Relaxed);
        JOBS.fetch_add(1, Ordering::Release);
        x2apic::send(WAKE, To::Others);
    }

    /// Lets all do `job`, and waits until all have.
    pub fn run(&self, job: Job) {
        self.begin(job);
        enable_interrupts();
        job(0);
        sleep_until(|| DONE.load(Ordering::Acquire) == self.others());
    }
}

/// What processors but the first execute.
fn work(number: usize) -> ! {
    x2apic::enable();
    let mut seen = 0;
    loop {
        sleep_until(|| JOBS.load(Ordering::Acquire) != seen);
        seen += 1;
        #[allow(unsafe_code)]
        // SAFETY: only `run` stores here, and only a `Job`, before it counts.
        let job = unsafe { core::mem::transmute::<*mut (), Job>(JOB.load(Ordering::Relaxed)) };
        enable_interrupts();
        job(number);
        DONE.fetch_add(1, Ordering::Release);
        x2apic::send(WAKE, To::Id(0));
    }
}

/// Sleeps until `done`, with interrupts off when it returns. Whoever makes it
/// true sends an interrupt afterwards.
pub fn sleep_until(done: impl Fn() -> bool) {
    disable_interrupts();
    while !done() {
        sleep();
    }
}

fn handle(frame: &mut Frame) -> bool {
    if frame.vector < 32 {
        return shootdown::fault(frame);
    }
    let vector = frame.vector as u8;
    let measured = cost::handle(vector);
    x2apic::end();
    measured
        || vector == WAKE
        || ipi::handle(vector)
        || timer::handle(vector)
        || shootdown::handle(vector)
}
