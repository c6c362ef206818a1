//! The devices together, as exits and offers reach them.

use super::*;
use crate::fake::Fake;
use crate::pit;

const MAILBOX: u64 = 0x8000;
const WOKEN: Exit = Exit::Woken { input: false };

struct Rig {
    pc: Pc,
    output: Output,
    host: Fake,
}

impl Rig {
    /// A machine whose time-stamp counter runs as the timer's oscillator.
    fn new() -> Self {
        Self::with_vcpus(1)
    }

    fn with_vcpus(vcpus: usize) -> Self {
        let machine = Machine { tsc_hz: pit::HZ, vcpus, mailbox: MAILBOX };
        Self { pc: Pc::new(&machine, 0), output: Output::new(), host: Fake::default() }
    }

    fn serve(&mut self, exit: Exit) -> Action {
        self.serve_of(0, exit)
    }

    fn serve_of(&mut self, vcpu: usize, exit: Exit) -> Action {
        self.pc.serve(vcpu, exit, &mut self.output, &mut self.host)
    }

    fn out(&mut self, port: u16, value: u8) -> Action {
        self.serve(Exit::PortOut { port, size: 1, value: u32::from(value), argument: None })
    }

    /// Vectors from 0x20 on, the timer unmasked with period `count`.
    fn start_timer(&mut self, count: u16) {
        for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xfe)] {
            self.out(port, value);
        }
        let [low, high] = count.to_le_bytes();
        for (port, value) in [(0x43, 0x34), (0x40, low), (0x40, high)] {
            assert_eq!(self.out(port, value), Action::DONE);
        }
    }

    fn take(&mut self) {
        self.pc.taken(Taken { vcpus: 1, late: 0 });
    }
}

const fn offer(vector: Option<u8>) -> Offers {
    Offers::one(0, vector)
}

#[test]
fn the_uart_prints_and_the_exit_port_ends() {
    let mut rig = Rig::new();
    for byte in *b"hi" {
        assert_eq!(rig.out(0x3f8, byte), Action::DONE);
    }
    let exit = Exit::PortOut { port: EXIT_PORT, size: 4, value: 0x103, argument: None };
    let end = Action::End { status: 3, cause: Cause::Exit };
    assert_eq!(rig.serve(exit), end);
    assert_eq!(rig.host.text(), "hi");
}

#[test]
fn unclaimed_ports_read_all_ones() {
    let mut rig = Rig::new();
    for (size, ones) in [(1, 0xff), (2, 0xffff), (4, 0xffff_ffff)] {
        let action = rig.serve(Exit::PortIn { port: 0xe0, size });
        assert_eq!(action, Action::Complete(Completion::Value(ones)));
    }
    rig.out(0xe0, 1);
    assert_eq!(rig.host.unknown_ports, 4);
}

#[test]
fn the_timer_is_offered_taken_and_offered_again_after_its_end() {
    let mut rig = Rig::new();
    rig.start_timer(1000);
    assert_eq!(rig.pc.offers(), Offers::NONE);
    assert_eq!(rig.pc.deadline(), Some(1000));
    rig.host.now = 1000;
    assert_eq!(rig.serve(WOKEN), Action::Wait);
    assert_eq!(rig.pc.offers(), offer(Some(0x20)));
    assert_eq!(rig.pc.offers(), Offers::NONE);
    assert_eq!(rig.pc.deadline(), Some(2000));
    rig.take();
    rig.host.now = 2000;
    rig.serve(WOKEN);
    assert_eq!(rig.pc.offers(), Offers::NONE, "in service");
    rig.out(0x20, 0x20);
    assert_eq!(rig.pc.offers(), offer(Some(0x20)));
}

#[test]
fn masking_withdraws_the_offer_and_the_deadline() {
    let mut rig = Rig::new();
    rig.start_timer(1000);
    rig.host.now = 1000;
    rig.serve(WOKEN);
    assert_eq!(rig.pc.offers(), offer(Some(0x20)));
    rig.out(0x21, 0xff);
    assert_eq!(rig.pc.offers(), offer(None));
    assert_eq!(rig.pc.deadline(), None);
}

/// The vCPU took the first offer while the second was on its way.
#[test]
fn a_late_offer_is_made_again() {
    let mut rig = Rig::new();
    rig.start_timer(1000);
    rig.out(0x21, 0xf6);
    rig.pc.interrupts.pic.pulse(3);
    assert_eq!(rig.pc.offers(), offer(Some(0x23)));
    rig.host.now = 1000;
    rig.serve(WOKEN);
    assert_eq!(rig.pc.offers(), offer(Some(0x20)));
    rig.pc.taken(Taken { vcpus: 1, late: 1 });
    assert_eq!(rig.pc.offers(), offer(Some(0x20)));
    rig.take();
    rig.out(0x20, 0x20);
    rig.out(0x20, 0x20);
    assert_eq!(rig.pc.offers(), Offers::NONE, "both were acknowledged");
}

#[test]
fn fast_timers_wake_at_a_bounded_rate() {
    let mut rig = Rig::new();
    rig.start_timer(2);
    let interval = pit::HZ / WAKES_A_SECOND;
    for wake in 1..5 {
        let deadline = rig.pc.deadline().unwrap();
        rig.host.now = deadline;
        rig.serve(WOKEN);
        if wake > 1 {
            assert_eq!(rig.pc.deadline(), Some(deadline + interval));
        }
    }
}

#[test]
fn a_halt_waits_if_something_can_end_it() {
    let mut rig = Rig::new();
    let halt = |interruptible| Exit::Halt { interruptible };
    assert_eq!(rig.serve(halt(true)), Action::Wait);
    assert!(matches!(rig.serve(halt(false)), Action::End { .. }));
}

#[test]
fn typed_bytes_interrupt_and_wait_for_room() {
    let mut rig = Rig::new();
    rig.start_timer(1000);
    rig.out(0x21, 0xef);
    rig.out(0x3fa, 1);
    rig.out(0x3f9, 1);
    rig.host.input = (0..40).collect();
    rig.serve(Exit::Woken { input: true });
    assert_eq!(rig.pc.offers(), offer(Some(0x24)));
    rig.take();
    for byte in 0..40 {
        let port = 0x3f8;
        let action = rig.serve(Exit::PortIn { port, size: 1 });
        assert_eq!(action, Action::Complete(Completion::Value(byte)));
    }
    rig.out(0x20, 0x20);
    assert_eq!(rig.pc.offers(), Offers::NONE, "all is read");
}

#[test]
fn the_clock_shows_wall_time() {
    let mut rig = Rig::new();
    let read = |rig: &mut Rig, index| {
        rig.out(0x70, index);
        let port = 0x71;
        rig.serve(Exit::PortIn { port, size: 1 })
    };
    // 2023-11-14 22:13:20 UTC
    for (index, value) in [(0, 0x20), (2, 0x13), (4, 0x22), (7, 0x14), (8, 0x11), (9, 0x23)] {
        let shown = Action::Complete(Completion::Value(value));
        assert_eq!(read(&mut rig, index), shown, "{index}");
    }
}

#[test]
fn soft_off_and_reset_end_the_guest() {
    for (port, size, value) in [(0x604, 2, 0x2000), (0xcf9, 1, 6), (0x64, 1, 0xfe)] {
        let end = Action::End { status: 0, cause: Cause::Exit };
        let exit = Exit::PortOut { port, size, value, argument: None };
        assert_eq!(Rig::new().serve(exit), end);
    }
}

#[test]
fn a_vcpu_is_started_by_the_mailbox() {
    let mut rig = Rig::with_vcpus(2);
    let halt = Exit::Halt { interruptible: false };
    assert_eq!(rig.serve_of(1, halt), Action::Wait);
    rig.host.now = rig.pc.deadline().unwrap();
    assert_eq!(rig.serve(WOKEN), Action::Wait, "no command yet");
    rig.host.put_u64(MAILBOX as usize, 1 << 32 | 1);
    rig.host.now = rig.pc.deadline().unwrap();
    assert_eq!(rig.serve(WOKEN), Action::Start { vcpu: 1 });
    assert_eq!(rig.serve(halt), Action::Wait, "the other one runs");
    assert!(matches!(rig.serve_of(1, halt), Action::End { .. }));
}
