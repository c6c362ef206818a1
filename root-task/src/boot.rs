//! From the kernel's hand-over to a running system.

use protocol::badge;
use sel4::{BootInfoPtr, ObjectBlueprint, cap, init_thread};
use sel4_root_task::{SerialPort, console, println};
use system::name::Name;

use crate::address_space::Stores;
use crate::cspace::{CSpace, MAX_GUESTS};
use crate::drivers::{self, Drivers};
use crate::error::{BuildError, Named};
use crate::frequency;
use crate::guest;
use crate::image;
use crate::machine;
use crate::memory::Memory;
use crate::process::Workshop;
use crate::scratch::Scratch;
use crate::supervisor::Supervisor;
use crate::voice::Voice;

sel4_root_task::root_task! { main = main, stack = 256 * 1024 }

/// Priority of the supervisor: above all guests, below the drivers.
const PRIORITY: u8 = 220;

fn main(boot_info: &BootInfoPtr) -> ! {
    console::set_sink(serial);
    match start(boot_info) {
        Ok(never) => match never {},
        Err(error) => {
            println!("umbriel| cannot start: {error}");
            machine::power_off()
        }
    }
}

/// COM1 until there is a console.
fn serial(bytes: &[u8]) {
    let port = SerialPort::new(init_thread::slot::IO_PORT_CONTROL.cast(), SerialPort::COM1);
    // Nobody is left to tell of a port that refuses.
    let _ = port.send(bytes);
}

fn start(boot_info: &BootInfoPtr) -> Result<core::convert::Infallible, BuildError> {
    let mut memory = Memory::new(boot_info);
    let cspace = CSpace::install(boot_info.empty(), &mut memory)?;
    let archive = image::archive(boot_info).map_err(|error| {
        println!("umbriel| the archive behind the root task: {error:?}");
        BuildError::Archive("it cannot be read")
    })?;
    if archive.guests.len() > MAX_GUESTS {
        return Err(BuildError::Archive("it has too many guests"));
    }
    let mut stores = Stores { memory, cspace };
    let supervisor: cap::Endpoint = stores.make(&ObjectBlueprint::Endpoint)?.cast();
    let spare = sel4::CPtr::from_bits(stores.cspace.take(1)?);
    let tsc_hz = frequency::tsc_hz(boot_info.tsc_frequency_mhz().unwrap_or(1000));
    let mut workshop =
        Workshop { archive, stores, scratch: Scratch::claim(), supervisor, tsc_hz, spare };
    let drivers = Drivers::build(&mut workshop)?;
    let tick = tick(&mut workshop, &drivers)?;
    let voice = start_drivers(&drivers, archive.guests.len())?;
    let mut supervisor = Supervisor::new(&mut workshop, voice, &drivers);
    for (index, guest) in archive.guests.iter().enumerate() {
        let built = guest::build(supervisor.workshop(), index, guest, &drivers);
        supervisor.add(built);
    }
    supervisor.inject(archive.injections, tick);
    supervisor.run()
}

/// The supervisor's own notification: the timer signals it, and it arrives on
/// the supervisor's endpoint.
fn tick(workshop: &mut Workshop<'_>, built: &Drivers) -> Result<cap::Notification, BuildError> {
    let notification: cap::Notification =
        workshop.stores.make(&ObjectBlueprint::Notification)?.cast();
    init_thread::slot::TCB
        .tcb_bind_notification(notification)
        .named("binding of the supervisor's notification")?;
    built.client(workshop, drivers::SUPERVISOR, notification)?;
    Ok(notification)
}

/// Starts console and timer and speaks through the console from now on.
fn start_drivers(drivers: &Drivers, guests: usize) -> Result<Voice, BuildError> {
    init_thread::slot::TCB
        .tcb_set_priority(init_thread::slot::TCB, PRIORITY)
        .named("priority of the supervisor")?;
    for driver in [&drivers.console, &drivers.timer] {
        driver.tcb.tcb_resume().named("start of a driver")?;
    }
    let mut voice = Voice::new();
    voice.through(drivers.supervisors_console);
    if let Some(name) = Name::new("umbriel") {
        voice.introduce(badge::DRIVER_SUPERVISOR, &name);
    }
    voice.record(format_args!(
        "{{\"record\":\"boot\",\"version\":\"{}\",\"protocol\":{},\"guests\":{guests}}}",
        env!("CARGO_PKG_VERSION"),
        protocol::VERSION,
    ));
    Ok(voice)
}
