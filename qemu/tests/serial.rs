//! Starts a real QEMU on a boot sector of a few instructions.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu::{Boot, Event, Machine, Port, Profile, Running, Timing};

/// `mov dx, port; mov al, byte; out dx, al`
fn out(port: u16, byte: u8) -> Vec<u8> {
    let [low, high] = port.to_le_bytes();
    vec![0xba, low, high, 0xb0, byte, 0xee]
}

/// A floppy image whose boot sector runs `code` and then stays where it is.
fn boot_sector(name: &str, code: &[Vec<u8>]) -> PathBuf {
    let mut sector = code.concat();
    sector.extend([0xfa, 0xf4, 0xeb, 0xfd]); // cli; again: hlt; jmp again
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    let path = std::env::temp_dir().join(format!("umbriel-{}-{name}.img", std::process::id()));
    fs::write(&path, sector).unwrap();
    path
}

fn start(profile: &str, image: &Path) -> Running {
    let machine = Machine {
        profile: Profile::named(profile).unwrap(),
        cpu: None,
        memory_bytes: 32 << 20,
        timing: Timing::RealTime,
        boot: Boot::Iso("/dev/null".into()),
        extra: vec![
            "-drive".into(),
            format!("file={},format=raw,if=floppy", image.display()),
            "-boot".into(),
            "a".into(),
        ],
    };
    Running::start(&machine).unwrap()
}

/// Collects until QEMU ends or `enough` says so.
fn collect(
    running: &mut Running,
    enough: impl Fn(&[u8], &[u8]) -> bool,
) -> (Vec<u8>, Vec<u8>, Option<i32>) {
    let (mut com1, mut com2) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        match running.next_event(Duration::from_millis(100)) {
            Some(Event::Output(Port::Com1, bytes)) => com1.extend(bytes),
            Some(Event::Output(Port::Com2, bytes)) => com2.extend(bytes),
            Some(Event::Ended(ended)) => return (com1, com2, ended.status),
            None => {}
        }
        if enough(&com1, &com2) {
            break;
        }
    }
    (com1, com2, None)
}

#[test]
fn ports_arrive_apart_and_kill_ends_the_machine() {
    let image = boot_sector("ports", &[out(0x3f8, b'A'), out(0x2f8, b'{'), out(0x3f8, 0xff)]);
    let mut running = start("pc", &image);
    let (com1, com2, ended) =
        collect(&mut running, |com1, com2| com1.len() == 2 && com2.len() == 1);
    assert_eq!((com1.as_slice(), com2.as_slice(), ended), (&b"A\xff"[..], &b"{"[..], None));
    running.kill();
    let (_, _, status) = collect(&mut running, |_, _| false);
    assert_eq!(status, None, "a killed QEMU has no exit status");
    assert!(running.next_event(Duration::ZERO).is_none());
    fs::remove_file(image).unwrap();
}

#[test]
fn the_bare_machine_ends_through_its_exit_port() {
    let image = boot_sector("exit", &[out(0x3f8, b'x'), out(0xf4, 7)]);
    let (com1, _, status) = collect(&mut start("bare", &image), |_, _| false);
    assert_eq!(com1, b"x");
    assert_eq!(status.and_then(qemu::bare_exit_byte), Some(7));
    fs::remove_file(image).unwrap();
}
