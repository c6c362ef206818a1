//! A hostile vmm: raw messages, in any order, beside vCPUs that stop and
//! drivers that signal.
#![no_main]

use protocol::desk::{Desk, Waiting};
use protocol::request::Request;

const VCPUS: usize = 8;

/// What a message asks of the desk.
fn request(desk: &mut Desk<u8>, words: [u64; 4], label: u64, length: usize) {
    match Request::decode(label, length, words) {
        Some(Request::NextExit { .. }) => {
            if desk.news().is_none() {
                desk.park();
            }
        }
        Some(Request::Complete { vcpu, .. }) => {
            let waited = desk.waiting(vcpu);
            let completed = desk.complete(vcpu);
            assert!(completed.is_none() || completed == waited);
            assert!(completed != Some(Waiting::Nothing) && completed != Some(Waiting::Shadow));
        }
        _ => {}
    }
}

fn check(desk: &Desk<u8>) {
    assert!(!desk.is_parked() || !desk.has_news(), "parked beside news");
    let mut seen = [false; VCPUS];
    for (vcpu, _) in desk.queued() {
        assert!(!std::mem::replace(&mut seen[vcpu], true), "two exits of one vCPU");
        assert!(desk.waiting(vcpu).is_some(), "an exit of a vCPU that runs");
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut desk = Desk::new();
    for &[kind, vcpu, length, label, ref rest @ ..] in data.as_chunks::<12>().0 {
        let vcpu = usize::from(vcpu % VCPUS as u8);
        match kind % 8 {
            0 => desk.stopped(vcpu, kind, Waiting::Instruction),
            1 => desk.stopped(vcpu, kind, Waiting::Interrupt),
            2 => desk.stopped(vcpu, kind, Waiting::Nothing),
            3 => desk.signal(),
            4 => drop(desk.wake(vcpu)),
            5 => desk.hold(vcpu),
            6 => desk.release(vcpu),
            _ => {
                let words = [
                    u64::from(rest[0]),
                    u64::from(rest[1]) << (rest[2] % 64),
                    u64::from(rest[3]) << (rest[4] % 64),
                    u64::from(rest[5]) << (rest[6] % 64) | u64::from(rest[7]),
                ];
                request(&mut desk, words, 0x100 + u64::from(label % 8), length.into());
            }
        }
        // As the server does after everything that may be news.
        let _ = desk.news_for_parked();
        check(&desk);
    }
});
