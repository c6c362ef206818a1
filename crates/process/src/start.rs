//! The first thing in a process's `main`.

use protocol::startup::Startup;
use protocol::supervisor::PANIC;
use sel4::cap;
use sel4::runtime::{StartupPage, Supervisor, set_supervisor};
use system::cspace::process;
use zerocopy::FromBytes;

/// Reads the startup page and declares the supervisor, so that a panic from
/// here on is reported with the process's name.
///
/// # Panics
/// If the page speaks another protocol version: processes of one image always
/// agree, so the image is damaged.
pub fn start(page: StartupPage) -> &'static Startup {
    let (startup, _) = Startup::ref_from_prefix(page.bytes()).expect("a page holds a startup page");
    set_supervisor(Supervisor {
        endpoint: cap::Endpoint::from_bits(process::SUPERVISOR),
        label: PANIC,
        name: startup.name.as_str(),
    });
    assert_eq!(startup.version, protocol::VERSION, "protocol version of the startup page");
    startup
}
