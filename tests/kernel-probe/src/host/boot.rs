//! Boots kernel and root task in QEMU and listens.
//!
//! QEMU pauses when the root task switches the machine off, so that its monitor
//! can still tell CR4, which no program at user level can read.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu::{Boot, Event, Machine, Port, Profile, Running, Timing};

use super::Error;

/// Printed by the root task behind its last finding.
const LAST_LINE: &str = "kernel-probe: done";

/// Longest time that a boot may take; one that works takes about a second.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time without a byte from the machine after which it is taken for dead. Long,
/// because a busy host looks the same from here.
const SILENCE: Duration = Duration::from_secs(60);

/// What a boot told.
pub(super) struct Told {
    /// The lines of COM1.
    pub(super) lines: Vec<String>,
    /// CR4, if the root task came to its end.
    pub(super) cr4: Option<u64>,
}

/// Boots and listens until the root task is done or the machine is silent.
pub(super) fn boot(kernel: &Path, root_task: &Path) -> Result<Told, Error> {
    let monitor = MonitorPath::new();
    let machine = Machine {
        profile: Profile::named("pc")?,
        // The default processor, but with UMIP, which E10 uses.
        cpu: Some("qemu64,+umip".to_owned()),
        memory_bytes: 512 << 20,
        timing: Timing::InstructionCount,
        boot: Boot::Kernel {
            kernel: kernel.to_owned(),
            module: Some(root_task.to_owned()),
            arguments: String::new(),
        },
        extra: vec![
            "-monitor".to_owned(),
            format!("unix:{},server=on,wait=off", monitor.0.display()),
            "-action".to_owned(),
            "shutdown=pause".to_owned(),
        ],
    };
    let mut running = Running::start(&machine)?;
    let text = listen(&mut running);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let done = lines.iter().any(|line| line == LAST_LINE);
    let cr4 = if done { control_register_4(&monitor.0) } else { None };
    Ok(Told { lines, cr4 })
}

/// Collects COM1 until the last line is complete, QEMU ends, or patience does.
fn listen(running: &mut Running) -> String {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    while begin.elapsed() < PATIENCE {
        match running.next_event(SILENCE) {
            Some(Event::Output(Port::Com1, more)) => bytes.extend(more),
            Some(Event::Output(Port::Com2, _)) => {}
            Some(Event::Ended(_)) | None => break,
        }
        if String::from_utf8_lossy(&bytes).contains(&format!("{LAST_LINE}\r\n")) {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks QEMU's monitor for CR4.
fn control_register_4(monitor: &Path) -> Option<u64> {
    let mut stream = UnixStream::connect(monitor).ok()?;
    stream.set_read_timeout(Some(SILENCE)).ok()?;
    stream.write_all(b"info registers\n").ok()?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        text.extend_from_slice(&buffer[..length]);
        if let Some(value) = parse_cr4(&String::from_utf8_lossy(&text)) {
            return Some(value);
        }
    }
}

/// Reads CR4 from the monitor's answer, once its eight digits are there.
fn parse_cr4(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("CR4=")?;
    u64::from_str_radix(rest.get(..8)?, 16).ok()
}

/// Path of the monitor's socket, removed when dropped.
struct MonitorPath(PathBuf);

impl MonitorPath {
    /// A path in the system's temporary directory: socket paths have to be short.
    fn new() -> MonitorPath {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("umbriel-probe-{}-{number}.monitor", std::process::id());
        MonitorPath(std::env::temp_dir().join(name))
    }
}

impl Drop for MonitorPath {
    fn drop(&mut self) {
        // QEMU removes it itself when it ends in order.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr4_is_read_when_it_is_complete() {
        assert_eq!(parse_cr4("CR3=0000000000a01000 CR4=00000e28\r\nDR0="), Some(0xe28));
        assert_eq!(parse_cr4("CR4=0000"), None);
        assert_eq!(parse_cr4("(qemu) info registers"), None);
    }
}
