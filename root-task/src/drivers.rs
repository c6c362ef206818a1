//! The drivers: console and timer.

use protocol::badge;
use sel4::init_thread::slot::{IO_PORT_CONTROL, IRQ_CONTROL};
use sel4::{CapRights, ObjectBlueprint, Polarity, TriggerMode, cap};
use system::compiled::ProgramKind;
use system::cspace::{self, driver, process};

use crate::cspace::CSpace;
use crate::error::{BuildError, Named};
use crate::names;
use crate::process::{Plan, Process, Workshop, startup};

/// Priority of the timer: above everything, so that time passes for all.
const TIMER_PRIORITY: u8 = 250;
/// Priority of the console: above the supervisor, so that a message to it has
/// been served when the supervisor runs again.
const CONSOLE_PRIORITY: u8 = 230;
/// Process numbers.
const CONSOLE: usize = 0;
const TIMER: usize = 1;
/// The supervisor's number among the timer's clients.
pub const SUPERVISOR: usize = driver::MAX_CLIENTS as usize - 1;

/// The driver processes.
pub struct Drivers {
    /// The console.
    pub console: Process,
    /// Where the console receives.
    pub console_endpoint: cap::Endpoint,
    /// The timer.
    pub timer: Process,
    /// Where the timer receives.
    pub timer_endpoint: cap::Endpoint,
    /// The console, as the supervisor calls it.
    pub supervisors_console: cap::Endpoint,
    /// The timer, as the supervisor calls it.
    pub supervisors_timer: cap::Endpoint,
    /// The timer's CNode.
    timer_cnode: cap::CNode,
    console_cnode: cap::CNode,
}

impl Drivers {
    /// Builds both; they do not run yet.
    ///
    /// # Errors
    /// [`BuildError`]; nothing can run then.
    pub fn build(workshop: &mut Workshop<'_>) -> Result<Self, BuildError> {
        let (console, console_endpoint, console_cnode) =
            driver(workshop, ProgramKind::Console, CONSOLE, CONSOLE_PRIORITY)?;
        ports(workshop, console_cnode, driver::PORTS_A, 0x3f8..=0x3ff)?;
        ports(workshop, console_cnode, driver::PORTS_B, 0x2f8..=0x2ff)?;
        let (timer, timer_endpoint, timer_cnode) =
            driver(workshop, ProgramKind::Timer, TIMER, TIMER_PRIORITY)?;
        ports(workshop, timer_cnode, driver::PORTS_A, 0x40..=0x43)?;
        ports(workshop, timer_cnode, driver::PORTS_B, 0x70..=0x71)?;
        interrupt(workshop, &timer, timer_cnode, PIT_INTERRUPT)?;
        interrupt(workshop, &console, console_cnode, COM1_INTERRUPT)?;
        Ok(Self {
            supervisors_console: workshop.badged(console_endpoint, badge::DRIVER_SUPERVISOR)?,
            supervisors_timer: workshop.badged(timer_endpoint, badge::client(SUPERVISOR))?,
            console,
            console_endpoint,
            timer,
            timer_endpoint,
            timer_cnode,
            console_cnode,
        })
    }

    /// Gives process number `number`, whose CNode is `cnode`, a notification
    /// that the timer can signal.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out.
    pub fn connect_timer(
        &self,
        workshop: &mut Workshop<'_>,
        number: usize,
        cnode: cap::CNode,
        radix: u32,
    ) -> Result<(), BuildError> {
        let notification: cap::Notification =
            workshop.stores.make(&ObjectBlueprint::Notification)?.cast();
        workshop
            .place(cnode, radix, process::NOTIFICATION)
            .copy(&CSpace::slot(notification.cptr()), CapRights::read_only())
            .named("copy of a notification")?;
        self.client(workshop, number, notification)
    }

    /// Lets what timer and console signal to process number `number`, a vmm,
    /// arrive at `server`, the thread of its guest's shadow-server.
    ///
    /// # Errors
    /// [`BuildError`] if memory or slots run out.
    pub fn connect_to_server(
        &self,
        workshop: &mut Workshop<'_>,
        number: usize,
        server: cap::Tcb,
    ) -> Result<(), BuildError> {
        let notification: cap::Notification =
            workshop.stores.make(&ObjectBlueprint::Notification)?.cast();
        server.tcb_bind_notification(notification).named("binding of a notification")?;
        self.client(workshop, number, notification)?;
        workshop
            .place(self.console_cnode, driver::RADIX, driver::CLIENTS + number as u64)
            .mint(&CSpace::slot(notification.cptr()), CapRights::write_only(), badge::INPUT)
            .named("mint of a notification for the console")
    }

    /// Lets the timer signal `notification` for client number `number`.
    ///
    /// # Errors
    /// [`BuildError`] if the kernel refuses.
    pub fn client(
        &self,
        workshop: &mut Workshop<'_>,
        number: usize,
        notification: cap::Notification,
    ) -> Result<(), BuildError> {
        workshop
            .place(self.timer_cnode, driver::RADIX, driver::CLIENTS + number as u64)
            .mint(&CSpace::slot(notification.cptr()), CapRights::write_only(), badge::NOTIFICATION)
            .named("mint of a notification for the timer")
    }
}

fn driver(
    workshop: &mut Workshop<'_>,
    program: ProgramKind,
    number: usize,
    priority: u8,
) -> Result<(Process, cap::Endpoint, cap::CNode), BuildError> {
    let radix = cspace::driver::RADIX;
    let cnode = workshop.cnode(radix)?;
    let endpoint: cap::Endpoint = workshop.stores.make(&ObjectBlueprint::Endpoint)?.cast();
    workshop
        .place(cnode, radix, process::ENDPOINT)
        .copy(&CSpace::slot(endpoint.cptr()), CapRights::read_only())
        .named("copy of a driver's endpoint")?;
    let built = workshop.process(&Plan {
        program,
        number,
        guest: None,
        cnode: (cnode, radix),
        priority,
        highest_priority: priority,
        startup: &startup(names::process(program, None)),
    })?;
    Ok((built, endpoint, cnode))
}

fn ports(
    workshop: &Workshop<'_>,
    cnode: cap::CNode,
    slot: u64,
    range: core::ops::RangeInclusive<u16>,
) -> Result<(), BuildError> {
    IO_PORT_CONTROL
        .ioport_control_issue(
            *range.start(),
            *range.end(),
            &workshop.place(cnode, driver::RADIX, slot),
        )
        .named("issue of I/O ports")
}

/// An interrupt: the pin of the I/O APIC, and a number of ours.
type Interrupt = (u64, u64);

const PIT_INTERRUPT: Interrupt = (2, 0);
const COM1_INTERRUPT: Interrupt = (4, 1);

/// An interrupt, delivered to the driver as a signal.
fn interrupt(
    workshop: &mut Workshop<'_>,
    process: &Process,
    cnode: cap::CNode,
    (io_apic_pin, vector): Interrupt,
) -> Result<(), BuildError> {
    IRQ_CONTROL
        .irq_control_get_ioapic(
            0,
            io_apic_pin,
            TriggerMode::Edge,
            Polarity::High,
            vector,
            &workshop.place(cnode, driver::RADIX, driver::IRQ),
        )
        .named("handler of a driver's interrupt")?;
    let notification: cap::Notification =
        workshop.stores.make(&ObjectBlueprint::Notification)?.cast();
    process.tcb.tcb_bind_notification(notification).named("binding of a notification")?;
    workshop
        .place(cnode, driver::RADIX, process::NOTIFICATION)
        .mint(&CSpace::slot(notification.cptr()), CapRights::write_only(), badge::IRQ)
        .named("mint of a notification")
}
